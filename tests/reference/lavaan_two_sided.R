# Writes lavaan_two_sided.json: what lavaan's two-level models say of one side where respondents and units have
# covariates, and where items have loadings that are equal on both levels.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_two_sided.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})
set.seed(20261123)

units <- 60
sizes <- sample(3:9, units, replace = TRUE)
unit <- rep(seq_len(units), sizes)
n <- length(unit)

# --- covariates: tenure of respondents, size of units ---------------------------------------------------------------

size <- rnorm(units)
tenure <- rexp(n, 0.3) + 0.8 * rnorm(units)[unit]
quality <- 0.4 * size + rnorm(units)
mood <- 0.6 * quality + rnorm(units, sd = 0.7)
loyal <- 0.5 * mood - 0.3 * size + rnorm(units, sd = 0.7)
common <- rnorm(n)
people <- data.frame(
  unit = unit, tenure = round(tenure, 3), size = round(size[unit], 3),
  quality = round(3 + quality[unit] + 0.2 * tenure + common + rnorm(n), 3),
  mood = round(4 + mood[unit] - 0.1 * tenure + common + rnorm(n), 3),
  loyal = round(5 + loyal[unit] + 0.3 * tenure + common + rnorm(n), 3),
  profit = round((10 + loyal + 0.5 * size + rnorm(units))[unit], 3)
)
within <- "
  quality ~ tenure
  mood ~ tenure
  loyal ~ tenure
  quality ~~ mood + loyal
  mood ~~ loyal
"
texts <- list(
  respondents = "mood ~ quality\nloyal ~ mood\nprofit ~ loyal\n",
  both = "quality ~ size\nmood ~ quality + size\nloyal ~ mood + size\nprofit ~ loyal + size\n"
)
free <- list(
  respondents = "quality ~~ mood + loyal + profit\nmood ~~ loyal + profit\nloyal ~~ profit\n",
  both = "quality + mood + loyal + profit ~ size\nquality ~~ mood + loyal + profit\nmood ~~ loyal + profit\nloyal ~~ profit\n"
)

lav_theta <- function(fit) {
  table <- parTable(fit)
  table$est[table$free > 0][order(table$free[table$free > 0])]
}
at <- function(data, fit, theta, ...) {
  table <- parTable(fit)
  table$ustart[table$free > 0] <- theta[table$free[table$free > 0]]
  table$est <- table$se <- table$start <- NULL
  suppressWarnings(lavaan(table, data, cluster = "unit", optim.method = "none", fixed.x = FALSE, baseline = FALSE, h1 = FALSE, ...))
}
slope <- function(fit) {
  drop(lavaan:::lav_model_gradient(fit@Model, lavsamplestats = fit@SampleStats, lavdata = fit@Data, lavcache = fit@Cache))
}

# lavaan stops short of the optimum. Newton steps with its own gradient and information bring it there.
tightly <- function(text, data) {
  fit <- suppressWarnings(sem(text, data, cluster = "unit", fixed.x = FALSE, baseline = FALSE, h1 = FALSE))
  stopifnot(lavInspect(fit, "converged"))
  for (round in 1:30) {
    move <- -drop(lavInspect(fit, "nobs") * unclass(vcov(fit)) %*% slope(fit))
    if (max(abs(move)) < 1e-9) break
    fit <- at(data, fit, lav_theta(fit) + move)
  }
  fit
}
columns <- c("lhs", "op", "rhs", "level", "est", "se")
covariates <- lapply(setNames(names(texts), names(texts)), function(name) {
  fit <- tightly(paste0("level: 1\n", within, "level: 2\n", texts[[name]]), people)
  above <- tightly(paste0("level: 1\n", within, "level: 2\n", free[[name]]), people)
  rows <- parameterEstimates(fit)[columns]
  rows$se_expected <- parameterEstimates(at(people, fit, lav_theta(fit), information = "expected"))$se
  list(rows = rows, chisq = 2 * as.numeric(logLik(above) - logLik(fit)))
})

# --- items with loadings that are equal on both levels --------------------------------------------------------------

f <- rnorm(units)
g <- 0.6 * f + rnorm(units, sd = 0.6)
own <- rnorm(n)
other <- 0.5 * own + rnorm(n)
loads <- c(1, 0.8, 1.2)
items <- data.frame(unit = unit)
for (k in 1:3) {
  items[[paste0("x", k)]] <- round(loads[k] * (f[unit] + own) + 0.3 * rnorm(units)[unit] + rnorm(n), 3)
  items[[paste0("y", k)]] <- round(loads[k] * (g[unit] + other) + 0.3 * rnorm(units)[unit] + rnorm(n), 3)
}
items$profit <- round((g + rnorm(units))[unit], 3)
part <- "f =~ x1 + a*x2 + b*x3\ng =~ y1 + c*y2 + d*y3\n"
fit <- sem(paste0("level: 1\n", part, "f ~~ g\nlevel: 2\n", part, "g ~ f\nprofit ~ g\n"), items, cluster = "unit",
           fixed.x = FALSE, em.h1.iter.max = 20000, em.h1.tol = 1e-12)
stopifnot(lavInspect(fit, "converged"))
tied <- list(rows = parameterEstimates(fit)[columns], chisq = unname(fitMeasures(fit, "chisq")),
             df = unname(fitMeasures(fit, "df")), logl = as.numeric(logLik(fit)))

write_json(
  list(people = people, covariates = covariates, items = items, tied = tied),
  if (dir.exists("tests/reference")) "tests/reference/lavaan_two_sided.json" else "lavaan_two_sided.json",
  digits = 12, auto_unbox = TRUE, dataframe = "columns"
)
