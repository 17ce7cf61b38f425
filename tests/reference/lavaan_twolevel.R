# Writes lavaan_twolevel.json: what lavaan says about two-level path models of observed variables, with all variances and
# covariances within clusters free, on its own Demo.twolevel and on simulated balanced and unbalanced data.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_twolevel.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

# --- data ------------------------------------------------------------------------------------------------------

set.seed(20260911)
simulate <- function(sizes) {
  units <- length(sizes)
  leadership <- rnorm(units)
  quality <- 0.6 * leadership + rnorm(units, sd = 0.8)
  satisfaction <- 0.5 * quality + rnorm(units, sd = 0.7)
  growth <- 3 + 0.8 * satisfaction + rnorm(units)
  profit <- 200 + 40 * satisfaction + rnorm(units, sd = 60)
  unit <- rep(seq_len(units), sizes)
  common <- rnorm(length(unit))
  data.frame(
    unit = unit,
    leadership = round(4 + 0.6 * leadership[unit] + 0.7 * common + rnorm(length(unit)), 3),
    quality = round(5 + 0.5 * quality[unit] + 0.6 * common + rnorm(length(unit)), 3),
    satisfaction = round(40 + 5 * satisfaction[unit] + 6 * common + rnorm(length(unit), sd = 8), 3),
    growth = round(growth[unit], 3),
    profit = round(profit[unit], 2)
  )
}
balanced <- simulate(rep(8, 60))
unbalanced <- simulate(sample(1:15, 70, replace = TRUE))
unbalanced <- unbalanced[sample(nrow(unbalanced)), ]

# --- models ----------------------------------------------------------------------------------------------------

saturated <- function(names) {
  pairs <- outer(names, names, function(a, b) paste(a, "~~", b))
  paste(pairs[lower.tri(pairs, diag = TRUE)], collapse = "\n")
}

chain <- "
  quality ~ leadership
  satisfaction ~ quality
  growth ~ satisfaction
  profit ~ satisfaction
"
jobs <- list(
  demo_regression = list(data = Demo.twolevel, cluster = "cluster", inside = c("y1", "y2", "y3"),
    outcomes = c("w1", "w2"), text = "y1 ~ w1 + w2\ny2 ~ y1 + w1\ny3 ~ y2\n"),
  demo_outcome = list(data = Demo.twolevel, cluster = "cluster", inside = c("y1", "y2", "y4"),
    outcomes = c("w1"), text = "y2 ~ y1\ny4 ~ y2\nw1 ~ y4 + y1\n"),
  demo_latent = list(data = Demo.twolevel, cluster = "cluster", inside = c("y1", "y2", "y3"),
    outcomes = c("w1", "w2"), text = "f =~ y1 + y2 + y3\nf ~ w1 + w2\n"),
  demo_equal = list(data = Demo.twolevel, cluster = "cluster", inside = c("y1", "y2", "y3"),
    outcomes = c("w1"), text = "y2 ~ a*y1\ny3 ~ a*y2\nw1 ~ y3\n"),
  balanced = list(data = balanced, cluster = "unit", inside = c("leadership", "quality", "satisfaction"),
    outcomes = c("growth", "profit"), text = chain),
  unbalanced = list(data = unbalanced, cluster = "unit", inside = c("leadership", "quality", "satisfaction"),
    outcomes = c("growth", "profit"), text = chain),
  two_causes = list(data = unbalanced, cluster = "unit", inside = c("leadership", "quality", "satisfaction"),
    outcomes = c("growth"), text = "satisfaction ~ leadership + quality\ngrowth ~ satisfaction\n"),
  residuals = list(data = unbalanced, cluster = "unit", inside = c("leadership", "quality", "satisfaction"),
    outcomes = c("growth"),
    text = "quality ~ leadership\nsatisfaction ~ leadership\nquality ~~ satisfaction\ngrowth ~ satisfaction\n")
)

# --- fits ------------------------------------------------------------------------------------------------------

with_text <- function(job, text) paste0("level: 1\n", saturated(job$inside), "\nlevel: 2\n", text)

lav_theta <- function(fit) {
  table <- parTable(fit)
  table$est[table$free > 0][order(table$free[table$free > 0])]
}

# Evaluate at `theta` without optimising.
at <- function(job, fit, theta, ...) {
  table <- parTable(fit)
  table$ustart[table$free > 0] <- theta[table$free[table$free > 0]]
  table$est <- table$se <- table$start <- NULL
  suppressWarnings(lavaan(table, job$data, cluster = job$cluster, optim.method = "none", fixed.x = FALSE, baseline = FALSE,
                          h1 = FALSE, ...))
}

slope <- function(fit) {
  drop(lavaan:::lav_model_gradient(fit@Model, lavsamplestats = fit@SampleStats, lavdata = fit@Data, lavcache = fit@Cache))
}

# lavaan stops some 1e-4 short of the optimum. Newton steps with its own gradient and information bring it there.
tightly <- function(job, text) {
  fit <- suppressWarnings(sem(with_text(job, text), job$data, cluster = job$cluster, fixed.x = FALSE, baseline = FALSE))
  stopifnot(lavInspect(fit, "converged"))
  for (round in 1:30) {
    move <- -drop(lavInspect(fit, "nobs") * unclass(vcov(fit)) %*% slope(fit))
    if (max(abs(move)) < 1e-9) break
    fit <- at(job, fit, lav_theta(fit) + move)
  }
  fit
}

columns <- c("lhs", "op", "rhs", "level", "est", "se")

run <- function(name) {
  job <- jobs[[name]]
  fit <- tightly(job, job$text)
  theta <- lav_theta(fit)
  free <- tightly(job, saturated(c(job$inside, job$outcomes)))
  rows <- parameterEstimates(fit, remove.nonfree = FALSE)[columns]
  rows$se_expected <- parameterEstimates(at(job, fit, theta, information = "expected"))$se
  rows$se_robust <- parameterEstimates(at(job, fit, theta, se = "robust.huber.white"))$se
  rows$std_all <- standardizedSolution(fit)$est.std
  # the scaled test needs lavaan's own free model, so it comes from an ordinary run, to its own precision
  robust <- suppressWarnings(sem(with_text(job, job$text), job$data, cluster = job$cluster, fixed.x = FALSE,
                                 estimator = "MLR", em.h1.iter.max = 10000, em.h1.tol = 1e-12))
  logl <- as.numeric(logLik(fit))
  unrestricted <- as.numeric(logLik(free))
  cat(sprintf("%-16s logl %.6f unrestricted %.6f step %.1e\n", name, logl, unrestricted,
              max(abs(lavInspect(fit, "nobs") * unclass(vcov(fit)) %*% slope(fit)))))
  list(
    text = job$text, inside = I(job$inside), outcomes = I(job$outcomes), cluster = job$cluster, rows = rows,
    information = lavInspect(fit, "options")$information[1], logl = logl, unrestricted_logl = unrestricted,
    chisq = 2 * (unrestricted - logl), df = unname(fitMeasures(robust, "df")),
    npar = unname(fitMeasures(robust, "npar")), scaling = unname(fitMeasures(robust, "chisq.scaling.factor"))
  )
}

results <- lapply(setNames(names(jobs), names(jobs)), run)
path <- if (dir.exists("tests/reference")) "tests/reference/lavaan_twolevel.json" else "lavaan_twolevel.json"
# lavaan's own data: rows a cluster, means and cross-products of deviations from them
facts <- function(data, cluster, names, outcomes) {
  group <- match(data[[cluster]], unique(data[[cluster]]))
  size <- as.vector(table(group))
  values <- as.matrix(data[names])
  means <- rowsum(values, group) / size
  apart <- values - means[group, ]
  pairs <- which(lower.tri(diag(length(names)), diag = TRUE), arr.ind = TRUE)
  list(names = names, outcomes = outcomes, sizes = size, means = unname(means),
       scatter = unname(rowsum(apart[, pairs[, 1]] * apart[, pairs[, 2]], group)),
       outcome_values = unname(rowsum(as.matrix(data[outcomes]), group) / size))
}
demo <- facts(Demo.twolevel, "cluster", c("y1", "y2", "y3", "y4"), c("w1", "w2"))
write_json(
  list(lavaan = as.character(packageVersion("lavaan")), R = R.version.string,
       data = list(demo = demo, balanced = balanced, unbalanced = unbalanced), models = results),
  path, dataframe = "columns", auto_unbox = TRUE, digits = 12
)
