# Writes lavaan_groups.json: what lavaan says about models of several groups.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_groups.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

# --- data ------------------------------------------------------------------------------------------------------

hs <- HolzingerSwineford1939[c(paste0("x", 1:9), "ageyr", "sex", "school")]
hs$boy <- as.numeric(hs$sex == 1)
hs$class <- paste(hs$school, ifelse(hs$boy == 1, "boys", "girls"))
hs$sex <- NULL
pd <- PoliticalDemocracy
pd$half <- ifelse(pd$x1 > median(pd$x1), "rich", "poor")

set.seed(20261122)
sizes <- c(north = 260, south = 300, west = 220)
skewed <- do.call(rbind, lapply(names(sizes), function(site) {
  n <- sizes[[site]]
  g <- match(site, names(sizes))
  x <- rexp(n) + 0.2 * g
  f <- 0.4 * (x - 1) + 0.2 * g + rexp(n) - 1
  h <- 0.5 * f + (rexp(n) - 1) * (0.8 + 0.2 * g)
  data.frame(
    site = site, unit = paste0(substr(site, 1, 1), sample(30, n, replace = TRUE)), shared = sample(45, n, replace = TRUE),
    x = x, a1 = 3 + f + 0.7 * rnorm(n), a2 = 2 + 0.8 * f + rexp(n), a3 = 0.7 * f + rt(n, 6),
    b1 = 5 + h + rnorm(n), b2 = 3 * (0.9 * h + 0.8 * rexp(n)), b3 = 1 + 0.6 * h + 0.8 * rnorm(n)
  )
}))
items <- c("a1", "a2", "a3", "b1", "b2", "b3")
lift <- ave(rnorm(nrow(skewed))[match(skewed$unit, skewed$unit)], skewed$unit)
skewed[items] <- skewed[items] + 0.5 * lift
skewed[c("x", items)] <- round(skewed[c("x", items)], 4)
skewed <- skewed[sample(nrow(skewed)), ]
rownames(skewed) <- NULL

holes <- skewed
for (item in items) holes[runif(nrow(holes)) < 0.02 + 0.12 * plogis(holes$x - 1.5), item] <- NA
holes$a2[holes$site == "west"][1:60] <- NA
holes[5, items] <- NA
hs_holes <- hs
set.seed(20261123)
for (item in paste0("x", 1:9)) hs_holes[runif(nrow(hs)) < 0.1, item] <- NA

growth_data <- Demo.growth
growth_data$half <- ifelse(growth_data$x2 > 0, "high", "low")
burns <- FacialBurns
burns$who <- ifelse(burns$Sex == levels(factor(burns$Sex))[1], "first", "second")
bfi <- psych::bfi
bfi$who <- ifelse(bfi$gender == 1, "men", "women")

stored <- list(hs = hs, pd = pd, skewed = skewed, holes = holes, hs_holes = hs_holes)
data_sets <- c(stored, list(growth = growth_data, burns = burns, bfi = bfi))

# --- models ----------------------------------------------------------------------------------------------------

three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
democracy <- "
  ind60 =~ x1 + x2 + x3
  dem60 =~ y1 + y2 + y3 + y4
  dem65 =~ y5 + y6 + y7 + y8
  dem60 ~ ind60
  dem65 ~ ind60 + dem60
  y1 ~~ y5
  y2 ~~ y6
  y3 ~~ y7
  y4 ~~ y8
"
curve <- "i =~ 1*t1 + 1*t2 + 1*t3 + 1*t4\ns =~ 0*t1 + 1*t2 + 2*t3 + 3*t4\n"
five <- "agree =~ A1 + A2 + A3 + A4 + A5\nextra =~ E1 + E2 + E3 + E4 + E5\nopen =~ O1 + O2 + O3 + O4 + O5\n"
two <- "f =~ a1 + a2 + a3\nh =~ b1 + b2 + b3\nh ~ f\n"
chain <- "a1 ~ x\nb1 ~ a1 + x\nb3 ~ b1\n"
labelled <- "
  visual =~ x1 + c(l2, l2)*x2 + c(l3a, l3b)*x3
  speed =~ x7 + x8 + x9
  speed ~ c(b1, b2)*visual
  gap := b1 - b2
  l3b == 1.1*l3a
"
partly <- "
  visual =~ c(1, NA)*x1 + x2 + c(NA, 1)*x3
  textual =~ x4 + c(1.1, 1.2)*x5 + x6
  x1 ~~ c(v, v)*x1
  x4 ~ c(m, m)*1
  x6 ~ c(0, NA)*1
"

case <- function(data, group, model, equal = "", partial = "", ...) {
  list(data = data, group = group, model = model, equal = equal, partial = partial, options = list(...))
}
L <- "loadings"
SC <- c("loadings", "intercepts")
S <- c("loadings", "intercepts", "residuals")

cases <- list(
  hs_configural = case("hs", "school", three),
  hs_metric = case("hs", "school", three, L),
  hs_scalar = case("hs", "school", three, SC),
  hs_strict = case("hs", "school", three, S),
  hs_means = case("hs", "school", three, c(SC, "means")),
  hs_lv = case("hs", "school", three, c(S, "lv.variances", "lv.covariances")),
  hs_everything = case("hs", "school", three, c(S, "means", "lv.variances", "lv.covariances")),
  hs_partial = case("hs", "school", three, SC, c("x3~1", "x7~1")),
  hs_partial_loading = case("hs", "school", three, SC, c("visual=~x2", "x7~1")),
  hs_std_lv = case("hs", "school", three, L, std.lv = TRUE),
  hs_std_lv_scalar = case("hs", "school", three, SC, std.lv = TRUE),
  hs_covariances_alone = case("hs", "school", three, L, meanstructure = FALSE),
  hs_wishart = case("hs", "school", three, SC, likelihood = "wishart"),
  hs_four = case("hs", "class", three, SC),
  hs_mimic = case("hs", "school", paste0(three, "visual + textual + speed ~ ageyr + boy\n"), L),
  hs_mimic_regressions = case("hs", "school", paste0(three, "visual + textual + speed ~ ageyr + boy\n"), c(SC, "regressions")),
  hs_mimic_random = case("hs", "school", paste0(three, "visual + textual ~ ageyr\n"), L, fixed.x = FALSE),
  hs_labelled = case("hs", "school", labelled),
  hs_partly = case("hs", "school", partly),
  hs_second_order = case("hs", "school", paste0(three, "ability =~ visual + textual + speed\n"), L),
  hs_regressions = case("hs", "school", paste0(three, "speed ~ visual + textual\n"), c(SC, "regressions")),
  pd_halves = case("pd", "half", democracy, L),
  pd_scalar = case("pd", "half", democracy, c(SC, "regressions")),
  sites = case("skewed", "site", two, SC),
  sites_path = case("skewed", "site", chain, "regressions"),
  growth = case("growth", "half", curve, growth = TRUE),
  growth_equal = case("growth", "half", curve, c("means", "residuals"), growth = TRUE),
  growth_covariates = case("growth", "half", paste0(curve, "i ~ x1\ns ~ x1\nt1 ~ c1\nt2 ~ c2\n"), "regressions", growth = TRUE),
  burns = case("burns", "who", "image =~ Selfesteem + HADS + RUM\nimage ~ Age + TBSA\n", L),
  bfi_metric = case("bfi", "who", five, L),
  bfi_scalar = case("bfi", "who", five, SC),
  bfi_strict = case("bfi", "who", five, S),
  hs_mlr = case("hs", "school", three, L, estimator = "MLR"),
  hs_mlr_scalar = case("hs", "school", three, SC, estimator = "MLR"),
  hs_mlr_mimic = case("hs", "school", paste0(three, "visual + textual + speed ~ ageyr + boy\n"), L, estimator = "MLR"),
  sites_mlr = case("skewed", "site", two, S, estimator = "MLR"),
  hs_mlm = case("hs", "school", three, SC, estimator = "MLM"),
  hs_mlm_mimic = case("hs", "school", paste0(three, "visual + textual + speed ~ ageyr + boy\n"), L, estimator = "MLM"),
  sites_mlm = case("skewed", "site", two, SC, estimator = "MLM"),
  sites_path_mlm = case("skewed", "site", chain, "regressions", estimator = "MLM"),
  hs_gls = case("hs", "school", three, SC, estimator = "GLS"),
  sites_gls = case("skewed", "site", two, L, estimator = "GLS"),
  sites_uls = case("skewed", "site", two, SC, estimator = "ULSM"),
  sites_wls = case("skewed", "site", two, SC, estimator = "WLS"),
  sites_wls_metric = case("skewed", "site", two, L, estimator = "WLS"),
  sites_cluster = case("skewed", "site", two, SC, cluster = "unit"),
  sites_cluster_mlr = case("skewed", "site", two, L, estimator = "MLR", cluster = "unit"),
  sites_cluster_across = case("skewed", "site", two, L, estimator = "MLR", cluster = "shared"),
  holes_fiml = case("holes", "site", two, SC, missing = "ml"),
  holes_fiml_configural = case("holes", "site", two, missing = "ml"),
  holes_fiml_mlr = case("holes", "site", two, SC, missing = "ml", estimator = "MLR"),
  holes_fiml_cluster = case("holes", "site", two, L, missing = "ml", cluster = "unit"),
  holes_fiml_covariate = case("holes", "site", paste0(two, "f ~ x\n"), L, missing = "ml", estimator = "MLR"),
  hs_fiml = case("hs_holes", "school", three, SC, missing = "ml"),
  hs_fiml_partial = case("hs_holes", "school", three, S, c("x3~1", "x7~~x7"), missing = "ml")
)

# --- fitting and writing ---------------------------------------------------------------------------------------

plain <- c(MLM = "ML", MLR = "ML", ULSM = "ULS")

call_with <- function(item, model, ..., robust = FALSE, start = FALSE) {
  options <- item$options
  verb <- if (start) (if (isTRUE(options$growth)) "growth" else "sem") else "lavaan"
  estimator <- if (is.null(options$estimator)) "ML" else options$estimator
  if (!robust && estimator %in% names(plain)) estimator <- plain[[estimator]]
  if (!robust && !is.null(options$cluster)) options$meanstructure <- TRUE
  if (!robust) options$cluster <- NULL
  options$estimator <- estimator
  options$growth <- NULL
  if (!start) options$std.lv <- NULL
  do.call(verb, c(list(model = model, data = data_sets[[item$data]], group = item$group), options, list(...)))
}

# Evaluate at `theta` without optimising.
at <- function(item, fit, theta, ...) {
  table <- parTable(fit)
  table$ustart[table$free > 0] <- theta[table$free[table$free > 0]]
  table$est <- table$se <- table$start <- NULL
  call_with(item, table, optim.method = "none", ...)
}

# With missing answers lavaan's gradient is weighted by group already.
slope <- function(fit) drop(lavaan:::lav_model_gradient(
  fit@Model, lavsamplestats = fit@SampleStats, lavdata = fit@Data, group.weight = fit@Options$missing != "ml"
))

lav_theta <- function(fit) {
  table <- parTable(fit)
  table$est[table$free > 0][order(table$free[table$free > 0])]
}

step <- function(fit) -drop(lavInspect(fit, "ntotal") * unclass(vcov(fit)) %*% slope(fit))

# lavaan stops some 1e-5 short of the optimum; steps with its own gradient and (constrained) information bring it there.
fit_tightly <- function(item) {
  fit <- call_with(item, item$model, group.equal = item$equal, group.partial = item$partial, start = TRUE)
  stopifnot(lavInspect(fit, "converged"))
  npar <- fitMeasures(fit, "npar")
  for (round in 1:400) {
    move <- step(fit)
    if (max(abs(move)) < 1e-10) break
    fit <- at(item, fit, lav_theta(fit) + move)
  }
  stopifnot(fitMeasures(fit, "npar") == npar)
  last <- max(abs(step(fit)))
  extra <- c("estimator", "cluster") %in% names(item$options)
  if (any(extra)) fit <- at(item, fit, lav_theta(fit), robust = TRUE)
  list(fit = fit, last = last)
}

keep <- function(table, columns) {
  table <- as.data.frame(table)
  if (!"label" %in% names(table)) table$label <- ""
  row.names(table) <- NULL
  table[intersect(columns, names(table))]
}

moments_of <- function(item, fit) {
  frame <- data_sets[[item$data]]
  names_used <- lavNames(fit, "ov")
  lapply(lavInspect(fit, "group.label"), function(label) {
    rows <- frame[frame[[item$group]] == label, names_used]
    rows <- rows[complete.cases(rows), ]
    list(group = unbox(label), n = unbox(nrow(rows)), names = names_used, covariance = unname(cov(rows)), means = unname(colMeans(rows)))
  })
}

describe <- function(name) {
  item <- cases[[name]]
  capture.output(found <- suppressWarnings(fit_tightly(item)))
  fit <- found$fit
  measures <- suppressWarnings(fitMeasures(fit))
  options <- item$options
  names(options) <- gsub(".", "_", names(options), fixed = TRUE)
  cat(sprintf("%-24s n=%4d npar=%3d chisq=%10.4f df=%3d last step=%.1e\n", name, lavInspect(fit, "ntotal"),
              measures["npar"], measures["chisq"], measures["df"], found$last))
  squared <- lapply(lavInspect(fit, "rsquare"), function(one) lapply(as.list(unclass(one)), unbox))
  c(
    list(
      name = unbox(name), data = unbox(item$data), group = unbox(item$group), model = unbox(item$model),
      equal = I(item$equal[item$equal != ""]), partial = I(item$partial[item$partial != ""]), options = lapply(options, unbox)
    ),
    if (item$data %in% names(stored)) NULL else list(moments = moments_of(item, fit)),
    list(
      labels = lavInspect(fit, "group.label"),
      last_step = unbox(found$last),
      estimates = keep(parameterEstimates(fit, remove.nonfree = FALSE, remove.eq = FALSE), c("lhs", "op", "rhs", "group", "est", "se")),
      standardized = keep(standardizedSolution(fit), c("lhs", "op", "rhs", "group", "est.std", "se")),
      fit = lapply(as.list(unclass(measures)), unbox),
      r2 = squared
    )
  )
}

here <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
written <- list(
  lavaan = unbox(as.character(packageVersion("lavaan"))),
  R = unbox(R.version.string),
  rows = lapply(stored, function(frame) as.list(frame)),
  cases = lapply(names(cases), describe)
)
write_json(written, file.path(dirname(here), "lavaan_groups.json"), digits = NA, na = "null", null = "null")
