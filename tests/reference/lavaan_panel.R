# Cross-lagged, random-intercept cross-lagged and fixed-effects panels of simulated units, complete and with holes, by
# lavaan. The models are written the long way, without latent copies of the columns. Writes lavaan_panel.json beside itself.
suppressPackageStartupMessages(library(lavaan))
library(jsonlite)

set.seed(11)
n <- 400
stable <- matrix(rnorm(2 * n), n) %*% chol(matrix(c(1, 0.5, 0.5, 1), 2))
moving <- matrix(rnorm(2 * n), n)
rows <- NULL
for (k in 1:4) {
  rows <- cbind(rows, stable + moving)
  moving <- moving %*% matrix(c(0.3, 0, 0.25, 0.2), 2) + 0.9 * matrix(rnorm(2 * n), n)
}
rows <- round(rows, 3)
colnames(rows) <- as.vector(outer(c("a", "b"), 1:4, paste, sep = "_"))
holes <- rows
holes[matrix(runif(length(rows)) < 0.1, n)] <- NA

equations <- function(prefix) paste0(sapply(2:4, function(k) {
  p <- paste0(prefix, c("a_", "b_"), k - 1)
  sprintf("%sa_%d ~ aa*%s + ab*%s\n%sb_%d ~ ba*%s + bb*%s\n%sa_%d ~~ %sb_%d", prefix, k, p[1], p[2], prefix, k, p[1], p[2],
    prefix, k, prefix, k)
}), collapse = "\n")
cross <- paste0(equations(""), "\na_1 ~~ b_1")
within <- paste0(sapply(1:4, function(k) sprintf("wa_%d =~ 1*a_%d\nwb_%d =~ 1*b_%d\na_%d ~~ 0*a_%d\nb_%d ~~ 0*b_%d",
  k, k, k, k, k, k, k, k)), collapse = "\n")
intercepts <- "ra =~ 1*a_1 + 1*a_2 + 1*a_3 + 1*a_4\nrb =~ 1*b_1 + 1*b_2 + 1*b_3 + 1*b_4
  ra ~~ rb\nra ~~ 0*wa_1 + 0*wb_1\nrb ~~ 0*wa_1 + 0*wb_1\nwa_1 ~~ wb_1"
random <- paste(within, equations("w"), intercepts, sep = "\n")
fixed <- "f =~ 1*b_2 + 1*b_3 + 1*b_4
  b_2 ~ own*b_1 + x*a_1\nb_3 ~ own*b_2 + x*a_2\nb_4 ~ own*b_3 + x*a_3
  f ~~ b_1 + a_1 + a_2 + a_3\na_1 ~~ a_2 + a_3 + b_1\na_2 ~~ a_3 + b_1\na_3 ~~ b_1
  b_2 ~~ a_2 + a_3\nb_3 ~~ a_3"

answer <- function(text, data) {
  fit <- sem(text, data = as.data.frame(data), missing = "fiml", fixed.x = FALSE, information = "observed",
    control = list(rel.tol = 1e-9, iter.max = 20000, eval.max = 40000))
  e <- subset(parameterEstimates(fit), op == "~")
  e <- e[!duplicated(e$label), ]
  list(label = e$label, estimate = e$est, error = e$se, chisq = unname(fitMeasures(fit, "chisq")),
    df = unname(fitMeasures(fit, "df")))
}
models <- list(cross_lagged = cross, random_intercept = random, fixed_effects = fixed)
out <- list(made_with = paste(R.version.string, "lavaan", packageVersion("lavaan")),
  rows = holes, complete = rows,
  answers = list(complete = lapply(models, answer, rows), holes = lapply(models, answer, holes)))
folder <- if (dir.exists("tests/reference")) "tests/reference" else "."
write_json(out, file.path(folder, "lavaan_panel.json"), digits = NA, auto_unbox = TRUE, na = "null")
