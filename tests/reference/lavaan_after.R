# Writes lavaan_after.json: what lavaan and semTools compute after a complete-data ML fit in one group.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_after.R
suppressPackageStartupMessages({
  library(lavaan)
  library(semTools)
  library(jsonlite)
})

# --- models and data -------------------------------------------------------------------------------------------

hs <- HolzingerSwineford1939
hs$boy <- as.numeric(hs$sex == 1)
three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
mediation <- "
  ind60 =~ x1 + x2 + x3
  dem60 =~ y1 + y2 + y3 + y4
  dem65 =~ y5 + y6 + y7 + y8
  dem60 ~ a*ind60
  dem65 ~ c*ind60 + b*dem60
"
classic <- paste0(mediation, "y1 ~~ y5\ny2 ~~ y4 + y6\ny3 ~~ y7\ny4 ~~ y8\ny6 ~~ y8\n")
curve <- "i =~ 1*t1 + 1*t2 + 1*t3 + 1*t4\ns =~ 0*t1 + 1*t2 + 2*t3 + 3*t4\ni ~ x1 + x2\ns ~ x1 + x2\nt1 ~ c1\n"
covariates <- "visual ~ ageyr + boy\ntextual ~ ageyr + boy\nspeed ~ ageyr + boy + visual\n"

case <- function(model, data, ...) list(model = model, data = data, options = list(...))
cases <- list(
  hs_cfa = case(three, hs),
  hs_means = case(three, hs, meanstructure = TRUE),
  hs_std_lv = case(three, hs, std.lv = TRUE),
  hs_cross = case(paste0(three, "visual =~ x9\n"), hs),
  hs_residual = case(paste0(three, "x7 ~~ x8\n"), hs),
  hs_mimic = case(paste0(three, covariates), hs),
  hs_second_order = case(paste0(three, "ability =~ visual + textual + speed\n"), hs),
  hs_structural = case(paste0(three, "textual ~ visual\nspeed ~ textual\n"), hs),
  pd_mediation = case(mediation, PoliticalDemocracy),
  pd_classic = case(classic, PoliticalDemocracy),
  pd_restricted = case(gsub("c\\*ind60 \\+ ", "", classic), PoliticalDemocracy),
  pd_single = case(
    "ind60 =~ x1\nx1 ~~ 0.05*x1\ndem60 =~ y1 + y2 + y3 + y4\ndem60 ~ ind60\ny5 ~ dem60", PoliticalDemocracy,
    meanstructure = TRUE
  ),
  hs_direct = case(paste0(three, "visual ~ ageyr\nx3 ~ boy\n"), hs, meanstructure = TRUE),
  growth = case(curve, Demo.growth, growth = TRUE),
  attitude_path = case(
    "rating ~ complaints + learning\nlearning ~ complaints + raises\nadvance ~ learning + critical", attitude
  )
)

# --- fits at the very optimum ----------------------------------------------------------------------------------

fit_case <- function(item, ...) {
  options <- item$options
  verb <- if (isTRUE(options$growth)) "growth" else "sem"
  options$growth <- NULL
  do.call(verb, c(list(model = item$model, data = item$data), options, list(...)))
}

theta_of <- function(fit) {
  table <- parTable(fit)
  table$est[table$free > 0][order(table$free[table$free > 0])]
}

at <- function(item, fit, theta, ...) {
  table <- parTable(fit)
  table$ustart[table$free > 0] <- theta[table$free[table$free > 0]]
  table$est <- table$se <- table$start <- NULL
  keep <- item$options[names(item$options) %in% "meanstructure"]
  do.call("lavaan", c(list(model = table, optim.method = "none", data = item$data), keep, list(...)))
}

step <- function(fit) {
  slope <- drop(lavaan:::lav_model_gradient(fit@Model, lavsamplestats = fit@SampleStats, lavdata = fit@Data))
  -drop(lavInspect(fit, "nobs") * unclass(vcov(fit)) %*% slope)
}

fit_tightly <- function(item, ...) {
  fit <- fit_case(item, ...)
  for (round in 1:400) {
    move <- step(fit)
    if (max(abs(move)) < 1e-11) break
    fit <- at(item, fit, theta_of(fit) + move, ...)
  }
  fit
}

# --- what is asked of each fit ---------------------------------------------------------------------------------

plain <- function(x) {
  x <- unclass(x)
  attributes(x) <- list(dim = dim(x))
  x
}

rows_of <- function(item, names) {
  rows <- item$data[seq(1, nrow(item$data), length.out = 12), names]
  row.names(rows) <- NULL
  rows
}

with_holes <- function(rows, latent_items) {
  for (i in 1:6) rows[i, latent_items[(seq_along(latent_items) + i) %% (i + 2) == 0]] <- NA
  rows
}

scores_of <- function(item, fit, names) {
  rows <- rows_of(item, names)
  items <- intersect(names, unlist(parTable(fit)$rhs[parTable(fit)$op == "=~"]))
  if (!length(items)) return(NULL)
  holes <- with_holes(rows, items)
  full <- fit_tightly(item, missing = "ml")
  second <- any(parTable(fit)$op == "=~" & parTable(fit)$rhs %in% lavNames(fit, "lv"))
  list(
    holes = holes,
    latents = lavNames(fit, "lv"),
    regression = plain(lavPredict(fit, newdata = rows, method = "regression")),
    bartlett = if (!second) plain(lavPredict(fit, newdata = rows, method = "Bartlett")),
    regression_holes = plain(lavPredict(full, newdata = holes, method = "regression")),
    bartlett_holes = if (!second) plain(lavPredict(full, newdata = holes, method = "Bartlett"))
  )
}

validity_of <- function(fit) {
  if (!any(parTable(fit)$op == "=~")) return(NULL)
  named <- function(x) lapply(as.list(unclass(x)), unbox)
  composite <- function(f) {
    l <- lavInspect(fit, "est")$lambda[, f]
    items <- names(l)[l != 0]
    common <- sum(l[items])^2 * lavInspect(fit, "cov.lv")[f, f]
    common / (common + sum(diag(lavInspect(fit, "est")$theta)[items]))
  }
  found <- compRelSEM(fit)
  list(
    omega = named(found),
    alpha = named(compRelSEM(fit, tau.eq = TRUE)),
    ave = named(AVE(fit)),
    cr = lapply(setNames(as.list(names(found)), names(found)), function(f) unbox(composite(f)))
  )
}

htmt_of <- function(item) {
  if (!grepl("=~", item$model) || grepl("ability|x1\\nx1 ~~|visual =~ x9|1\\*t1", item$model)) return(NULL)
  list(
    htmt = plain(htmt(item$model, data = item$data, htmt2 = FALSE)),
    htmt2 = plain(htmt(item$model, data = item$data, htmt2 = TRUE))
  )
}

residuals_of <- function(fit) {
  get <- function(type) plain(residuals(fit, type = type)$cov)
  means <- function(type) {
    found <- residuals(fit, type = type)$mean
    if (is.null(found)) NULL else as.numeric(found)
  }
  parts <- lavaan:::lav_residuals_summary(
    fit, type = c("rmr", "srmr", "crmr"), se = TRUE, zstat = TRUE, pvalue = TRUE, unbiased = TRUE, unbiased.se = TRUE,
    unbiased.ci = TRUE
  )[[1]]
  table <- function(part) {
    column <- if ("total" %in% names(part)) "total" else "cov"
    as.numeric(part[[column]])
  }
  list(
    raw = get("raw"), bollen = get("cor.bollen"), bentler = get("cor.bentler"),
    normalized = get("normalized"), standardized = get("standardized"),
    mean_raw = means("raw"), mean_normalized = means("normalized"), mean_standardized = means("standardized"),
    summary = list(rmr = table(parts$rmr), srmr = table(parts$srmr), crmr = table(parts$crmr))
  )
}

prediction_of <- function(item, fit, names) {
  y <- lavNames(fit, "ov.y")
  x <- lavNames(fit, "ov.x")
  if (!length(x)) x <- lavNames(fit, "ov.ind")[1:3]
  y <- setdiff(names, x)
  rows <- rows_of(item, names)
  list(outcomes = y, given = x, values = plain(lavPredictY(fit, newdata = rows, ynames = y, xnames = x)))
}

# Measurement apart from structure: the same model with all first-order latents and single variables covarying.
part <- function(model, pattern) paste(grep(pattern, strsplit(model, "\n")[[1]], value = TRUE), collapse = "\n")
saturated <- list(
  hs_structural = three,
  pd_mediation = part(mediation, "=~"),
  pd_classic = part(classic, "=~|~~"),
  pd_restricted = part(classic, "=~|~~"),
  hs_second_order = three,
  hs_mimic = paste0(
    three, "visual ~~ ageyr + boy\ntextual ~~ ageyr + boy\nspeed ~~ ageyr + boy\nageyr ~~ ageyr + boy\nboy ~~ boy\n"
  )
)

structural_of <- function(name, item, fit) {
  if (is.null(saturated[[name]])) return(NULL)
  free <- cfa(saturated[[name]], data = item$data)
  chisq <- fitMeasures(fit, c("chisq", "df"))
  rest <- fitMeasures(free, c("chisq", "df"))
  move <- chisq - rest
  n <- lavInspect(fit, "nobs")
  list(
    measurement_chisq = unbox(rest[[1]]), measurement_df = unbox(rest[[2]]),
    chisq = unbox(move[[1]]), df = unbox(move[[2]]),
    rmsea_p = unbox(sqrt(max(move[[1]] - move[[2]], 0) / (n * move[[2]])))
  )
}

small_sample_of <- function(fit) {
  m <- fitMeasures(fit, c("chisq", "df"))
  n <- lavInspect(fit, "nobs") - 1
  p <- length(lavNames(fit, "ov"))
  k <- length(lavNames(fit, "lv"))
  d <- m[["df"]]
  q <- (sqrt(1 + 4 * p * (p + 1) - 8 * d) - 1) / 2
  c(
    swain = 1 - (p * (2 * p^2 + 3 * p - 1) - q * (2 * q^2 + 3 * q - 1)) / (12 * d * n),
    bartlett = 1 - (2 * p + 4 * k + 5) / (6 * n),
    yuan = 1 - (2 * p + 2 * k + 7) / (6 * n)
  )
}

describe <- function(name) {
  item <- cases[[name]]
  fit <- suppressWarnings(fit_tightly(item))
  names <- lavNames(fit, "ov")
  options <- item$options
  names(options) <- gsub(".", "_", names(options), fixed = TRUE)
  cat(name, "\n")
  list(
    name = unbox(name), model = unbox(item$model), options = lapply(options, unbox),
    moments = list(
      n = unbox(nrow(item$data)), names = names, means = unname(colMeans(item$data[names])),
      covariance = unname(cov(item$data[names]))
    ),
    rows = rows_of(item, names),
    scores = scores_of(item, fit, names),
    validity = validity_of(fit),
    htmt = htmt_of(item),
    residuals = residuals_of(fit),
    prediction = prediction_of(item, fit, names),
    structural = structural_of(name, item, fit),
    small_sample = as.list(small_sample_of(fit))
  )
}

here <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
written <- list(
  lavaan = unbox(as.character(packageVersion("lavaan"))),
  semTools = unbox(as.character(packageVersion("semTools"))),
  cases = lapply(names(cases), describe)
)
write_json(written, file.path(dirname(here), "lavaan_after.json"), digits = NA, na = "null", null = "null")
