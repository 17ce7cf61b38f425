# Writes lavaan_twolevel_missing.json: what lavaan says about two-level models of simulated rows with missing answers,
# on outcomes, covariates of rows and covariates of clusters.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_twolevel_missing.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

set.seed(20261124)
units <- 80
size <- sample(2:9, units, replace = TRUE)
climate <- rnorm(units)
support <- 0.6 * climate + rnorm(units, sd = 0.8)
unit <- rep(seq_len(units), size)
n <- length(unit)
tenure <- rnorm(n)
effort <- 0.5 * tenure + rnorm(n)
data <- data.frame(
  unit = unit, tenure = round(tenure, 2), climate = round(climate[unit], 2),
  a = round(4 + support[unit] + effort + rnorm(units, sd = 0.4)[unit] + rnorm(n), 2),
  b = round(5 + 0.8 * support[unit] + 0.9 * effort + rnorm(units, sd = 0.4)[unit] + rnorm(n), 2),
  c = round(10 + 0.7 * support[unit] + 0.8 * effort + rnorm(units, sd = 0.4)[unit] + rnorm(n), 2)
)
for (name in c("b", "c")) data[[name]][runif(n) < plogis(-2 + 0.5 * data$tenure)] <- NA
data$a[runif(n) < 0.1 & !is.na(data$b)] <- NA
data$climate[data$unit %in% c(5, 9, 31)] <- NA
data$tenure[sample(n, 8)] <- NA
# No row is empty, and rows stay in the order of their clusters: else lavaan goes astray where answers are missing.

jobs <- list(
  factor = list(text = "level: 1\nf =~ a + b + c\nlevel: 2\ng =~ a + b + c", fixed.x = TRUE),
  covariates = list(text = "level: 1\nf =~ a + b + c\nf ~ tenure\nlevel: 2\ng =~ a + b + c\ng ~ climate", fixed.x = TRUE),
  random = list(text = "level: 1\nf =~ a + b + c\nf ~ tenure\nlevel: 2\ng =~ a + b + c\ng ~ climate", fixed.x = FALSE),
  path = list(text = "level: 1\nb ~ a + tenure\nlevel: 2\nb ~ a + climate", fixed.x = FALSE)
)
run <- function(job) {
  for (tolerance in c(1e-12, 1e-11, 1e-10, 1e-9)) {
    fit <- suppressWarnings(sem(job$text, data, cluster = "unit", missing = "ml", fixed.x = job$fixed.x,
                                baseline = FALSE, control = list(rel.tol = tolerance, iter.max = 10000)))
    if (lavInspect(fit, "converged")) break
  }
  print(tolerance)
  rows <- parameterEstimates(fit, remove.nonfree = FALSE)[c("lhs", "op", "rhs", "level", "est", "se")]
  measures <- fitMeasures(fit, c("logl", "unrestricted.logl", "chisq", "df", "npar", "ntotal"))
  cat(sprintf("logl %.6f chisq %.6f df %d\n", measures["logl"], measures["chisq"], as.integer(measures["df"])))
  c(job, list(rows = rows, measures = as.list(unclass(measures))))
}
path <- if (dir.exists("tests/reference")) "tests/reference" else "."
write_json(
  list(lavaan = as.character(packageVersion("lavaan")), R = R.version.string, data = data, models = lapply(jobs, run)),
  file.path(path, "lavaan_twolevel_missing.json"), dataframe = "columns", auto_unbox = TRUE, digits = 12, na = "null"
)
