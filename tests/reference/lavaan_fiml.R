# Writes lavaan_fiml.json: what lavaan says about models of data with missing answers, under missing = "ml", with
# ordinary and with robust errors.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_fiml.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

# --- data ------------------------------------------------------------------------------------------------------

set.seed(20261122)
away <- function(frame, columns, chance) {
  for (column in columns) frame[runif(nrow(frame)) < chance, column] <- NA
  frame
}
logistic <- function(x) 1 / (1 + exp(-x))

hs <- HolzingerSwineford1939[c(paste0("x", 1:9), "ageyr", "sex", "grade")]
hs[1:9] <- round(hs[1:9], 4)
hs$boy <- as.numeric(hs$sex == 1)
hs <- hs[c(paste0("x", 1:9), "ageyr", "boy")]
hs_mcar <- away(hs, paste0("x", 1:9), 0.12)
hs_mcar[c(17, 203), ] <- NA
hs_mar <- hs
for (k in 2:9) hs_mar[runif(301) < logistic(-1.6 + 1.1 * (hs$x1 - 4.9)), paste0("x", k)] <- NA
hs_covariates <- away(hs_mcar, c("ageyr", "boy"), 0.06)
hs_forms <- hs
form <- rep(1:3, length.out = 301)
for (k in 1:3) hs_forms[form == k, paste0("x", c(2, 5, 8) + c(0, 1, -1)[k])] <- NA

democracy_data <- away(PoliticalDemocracy, names(PoliticalDemocracy), 0.07)

n <- 400
service <- rnorm(n)
satisfaction <- 0.5 * service + rnorm(n)
loyalty <- 0.4 * satisfaction + 0.2 * service + rnorm(n)
profit <- 9 + 1.2 * loyalty + rnorm(n, sd = 2)  # larger units: lavaan finds no errors
path_data <- data.frame(service, satisfaction, loyalty, profit)
path_data[runif(n) < logistic(-1 - service), "satisfaction"] <- NA
path_data[runif(n) < logistic(-1.4 + 0.5 * service), "loyalty"] <- NA
path_data <- round(path_data, 4)
path_data$branch <- rep(1:40, each = 10)

growth_data <- Demo.growth[c(paste0("t", 1:4), "x1", "x2", paste0("c", 1:4))]
gone <- rep(FALSE, nrow(growth_data))
for (k in 2:4) {
  gone <- gone | runif(nrow(growth_data)) < logistic(-2.2 + 0.5 * Demo.growth[[paste0("t", k - 1)]])
  growth_data[gone, paste0("t", k)] <- NA
}
growth_data <- round(growth_data, 4)
growth_holes <- away(growth_data, c("x1", "c2"), 0.08)

frames <- list(
  hs = hs, hs_mcar = hs_mcar, hs_mar = hs_mar, hs_covariates = hs_covariates, hs_forms = hs_forms,
  democracy = democracy_data, path = path_data, growth = growth_data, growth_holes = growth_holes
)

# --- models ----------------------------------------------------------------------------------------------------

three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
mimic <- paste0(three, "visual ~ ageyr + boy\ntextual ~ ageyr + boy\nspeed ~ ageyr + boy")
democracy <- "
  ind60 =~ x1 + x2 + x3
  dem60 =~ y1 + a*y2 + b*y3 + c*y4
  dem65 =~ y5 + a*y6 + b*y7 + c*y8
  dem60 ~ ind60
  dem65 ~ ind60 + dem60
  y1 ~~ y5
  y2 ~~ y4 + y6
  y3 ~~ y7
  y4 ~~ y8
  y6 ~~ y8
"
path <- "
  satisfaction ~ a*service
  loyalty ~ b*satisfaction
  profit ~ c*loyalty
  indirect := a*b*c
"
curve <- "i =~ 1*t1 + 1*t2 + 1*t3 + 1*t4\ns =~ 0*t1 + 1*t2 + 2*t3 + 3*t4\n"

case <- function(model, data, ...) list(model = model, data = data, options = list(...))

cases <- list(
  hs_complete = case(three, "hs"),
  hs_mcar = case(three, "hs_mcar"),
  hs_mar = case(three, "hs_mar"),
  hs_mar_std_lv = case(three, "hs_mar", std.lv = TRUE),
  hs_forms = case(three, "hs_forms"),
  hs_orthogonal = case(three, "hs_mcar", orthogonal = TRUE),
  hs_second_order = case(paste0(three, "ability =~ visual + textual + speed"), "hs_mcar"),
  hs_equal_loadings = case("visual =~ x1 + a*x2 + a*x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9", "hs_mar"),
  hs_linear_constraint = case(
    "visual =~ x1 + a*x2 + b*x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\na + b == 1.4", "hs_mcar"
  ),
  hs_latent_mean = case("speed =~ x7 + x8 + x9\nx7 ~ 0*1\nspeed ~ 1", "hs_mcar"),
  hs_equal_intercepts = case(
    "speed =~ x7 + x8 + x9\nvisual =~ x1 + x2 + x3\nx7 ~ m*1\nx8 ~ 1\nx9 ~ m*1", "hs_mar"
  ),
  hs_mimic = case(mimic, "hs_mcar"),
  hs_mimic_lost_covariates = case(mimic, "hs_covariates"),
  hs_mimic_random_covariates = case(mimic, "hs_covariates", fixed.x = FALSE),
  democracy = case(democracy, "democracy"),
  path = case(path, "path"),
  path_random_x = case(path, "path", fixed.x = FALSE),
  path_saturated = case("profit ~ loyalty + satisfaction + service\nloyalty ~ satisfaction + service", "path"),
  path_clusters = case(path, "path", cluster = "branch"),
  path_reciprocal = case("satisfaction ~ service + loyalty\nloyalty ~ satisfaction\nprofit ~ loyalty", "path"),
  growth = case(curve, "growth", growth = TRUE),
  growth_covariates = case(
    paste0(curve, "i ~ x1 + x2\ns ~ x1 + x2\nt1 ~ c1\nt2 ~ c2\nt3 ~ c3\nt4 ~ c4"), "growth", growth = TRUE
  ),
  growth_random_covariates = case(paste0(curve, "i ~ x1 + x2\ns ~ x1 + x2"), "growth_holes", growth = TRUE,
    fixed.x = FALSE
  )
)

# --- fitting and writing ---------------------------------------------------------------------------------------

tight <- list(missing = "ml", em.h1.tol = 1e-13, em.h1.iter.max = 20000)

fit_case <- function(item, ...) {
  options <- item$options
  verb <- if (isTRUE(options$growth)) "growth" else "sem"
  options$growth <- NULL
  do.call(verb, c(list(model = item$model, data = frames[[item$data]]), options, tight, list(...)))
}

at <- function(item, fit, theta, ...) {
  table <- parTable(fit)
  table$ustart[table$free > 0] <- theta[table$free[table$free > 0]]
  table$est <- table$se <- table$start <- NULL
  options <- item$options[names(item$options) %in% "fixed.x"]
  do.call("lavaan", c(
    list(model = table, data = frames[[item$data]], meanstructure = TRUE, optim.method = "none"), options, tight,
    list(...)
  ))
}

theta_of <- function(fit) {
  table <- parTable(fit)
  table$est[table$free > 0][order(table$free[table$free > 0])]
}

# lavaan stops a little short of the optimum: a few Newton steps with its own gradient and information bring it there.
step <- function(fit) {
  gradient <- drop(lavaan:::lav_model_gradient(fit@Model, lavsamplestats = fit@SampleStats, lavdata = fit@Data))
  stopifnot(nrow(vcov(fit)) == length(gradient))
  -drop(lavInspect(fit, "nobs") * unclass(vcov(fit)) %*% gradient)
}

keep <- function(table, columns) {
  table <- as.data.frame(table)
  if (!"label" %in% names(table)) table$label <- ""
  row.names(table) <- NULL
  table[intersect(columns, names(table))]
}

plain <- function(values) lapply(as.list(unclass(values)), unbox)

describe <- function(name) {
  item <- cases[[name]]
  capture.output(suppressWarnings({
    clusters <- item$options["cluster"[!is.null(item$options$cluster)]]
    options <- item$options
    item$options$cluster <- NULL
    fit <- fit_case(item)
    stopifnot(lavInspect(fit, "converged"))
    npar <- fitMeasures(fit, "npar")
    for (round in 1:20) {
      move <- step(fit)
      if (max(abs(move) / (1e-3 + abs(theta_of(fit)))) < 1e-10) break
      fit <- at(item, fit, theta_of(fit) + move)
    }
    stopifnot(fitMeasures(fit, "npar") == npar)
    last <- max(abs(step(fit)) / (1e-3 + abs(theta_of(fit))))
    with_clusters <- function(estimator) {
      do.call(at, c(list(item, fit, theta_of(fit), estimator = estimator), clusters))
    }
    robust <- with_clusters("MLR")
    if (length(clusters)) fit <- with_clusters("ML")
  }))
  names(options) <- gsub(".", "_", names(options), fixed = TRUE)
  cat(sprintf("%-28s n=%4d npar=%3d chisq=%10.4f df=%3d last step=%.1e\n", name, lavInspect(fit, "nobs"),
              fitMeasures(fit, "npar"), fitMeasures(fit, "chisq"), fitMeasures(fit, "df"), last))
  columns <- c("lhs", "op", "rhs", "label", "est", "se", "z", "pvalue", "ci.lower", "ci.upper")
  list(
    name = unbox(name), model = unbox(item$model), data = unbox(item$data), options = lapply(options, unbox),
    last_step = unbox(last),
    estimates = keep(parameterEstimates(fit, remove.nonfree = FALSE, remove.eq = FALSE), columns),
    standardized = keep(standardizedSolution(fit), c("lhs", "op", "rhs", "est.std", "se")),
    fit = plain(fitMeasures(fit)),
    robust_estimates = keep(parameterEstimates(robust, remove.nonfree = FALSE, remove.eq = FALSE), columns),
    robust_fit = plain(fitMeasures(robust))
  )
}

here <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
columns <- function(frame) list(names = names(frame), rows = unname(as.matrix(frame)))
written <- list(
  lavaan = unbox(as.character(packageVersion("lavaan"))),
  R = unbox(R.version.string),
  frames = lapply(frames, columns),
  cases = lapply(names(cases), describe)
)
write_json(written, file.path(dirname(here), "lavaan_fiml.json"), digits = NA, na = "null", null = "null")
