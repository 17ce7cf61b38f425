# Writes lavaan_twolevel_scores.json: lavaan's scores of the latent variables of clusters, on simulated unbalanced data. They
# leave variables of clusters out of account, so the model has none.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_twolevel_scores.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

set.seed(20261125)
units <- 60
unit <- rep(seq_len(units), sample(1:7, units, replace = TRUE))
n <- length(unit)
climate <- rnorm(units)
support <- 0.6 * climate + rnorm(units, sd = 0.8)
effort <- rnorm(n)
answers <- sapply(c(1, 0.9, 0.7), function(load) {
  load * (support[unit] + effort) + rnorm(units, sd = 0.6)[unit] + rnorm(n)
})
data <- data.frame(unit, a = round(3 + answers[, 1], 3), b = round(answers[, 2], 3), c = round(answers[, 3], 3),
                   climate = round(climate[unit], 3))
text <- "level: 1\nf =~ a + b + c\nlevel: 2\ng =~ a + b + c"
fit <- sem(text, data, cluster = "unit")
stopifnot(lavInspect(fit, "converged"))
estimates <- parTable(fit)
path <- if (dir.exists("tests/reference")) "tests/reference" else "."
write_json(
  list(lavaan = as.character(packageVersion("lavaan")), R = R.version.string, text = text, data = data,
       theta = estimates$est[estimates$free > 0],
       scores = drop(unclass(lavPredict(fit, level = 2))), icc = as.list(lavInspect(fit, "icc"))),
  file.path(path, "lavaan_twolevel_scores.json"), dataframe = "columns", auto_unbox = TRUE, digits = 12
)
