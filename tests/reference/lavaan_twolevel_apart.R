# Writes lavaan_twolevel_apart.json: what lavaan says of a chain of three factors on two levels beside its estimates:
# residuals of each level, the same with the structure freed, on both levels or on one, and Bartlett's scores.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_twolevel_apart.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

set.seed(20261126)
units <- 70
size <- sample(4:12, units, replace = TRUE)
unit <- rep(seq_len(units), size)
n <- length(unit)
x <- rnorm(n)
w <- rnorm(units)
chain <- function(k, start) {
  f <- start + rnorm(k)
  g <- 0.6 * f + 0.8 * rnorm(k)
  list(f, g, 0.4 * g + 0.25 * f + 0.8 * rnorm(k))
}
inner <- chain(n, 0.3 * x)
outer <- chain(units, 0.4 * w)
data <- data.frame(unit, x = round(x, 3), w = round(w[unit], 3))
for (at in 1:3) {
  for (k in 1:3) {
    load <- c(1, 0.8, 0.9)[k]
    value <- load * inner[[at]] + 0.8 * load * outer[[at]][unit] + 0.35 * rnorm(units)[unit] + 0.7 * rnorm(n)
    data[[paste0("y", 3 * (at - 1) + k)]] <- round(value, 3)
  }
}
factors <- "f =~ y1 + y2 + y3\ng =~ y4 + y5 + y6\nh =~ y7 + y8 + y9\n"
paths <- "g ~ f\nh ~ g\nf ~ "
free <- function(by) paste0("f ~~ g + h\ng ~~ h\nf + g + h ~ ", by, "\n")
two <- function(one, other) paste0("level: 1\n", factors, one, "level: 2\n", factors, other)
texts <- list(
  whole = two(paste0(paths, "x\n"), paste0(paths, "w\n")),
  measurement = two(free("x"), free("w")),
  within = two(free("x"), paste0(paths, "w\n")),
  between = two(paste0(paths, "x\n"), free("w"))
)
control <- list(iter.max = 10000)
fitted <- function(text, ...) {
  fit <- sem(text, data, cluster = "unit", control = control, em.h1.tol = 1e-13, em.h1.iter.max = 20000, ...)
  stopifnot(lavInspect(fit, "converged"))
  fit
}
ml <- lapply(texts, fitted)
mlr <- lapply(texts, fitted, estimator = "MLR")
residual <- function(type) {
  found <- lavResiduals(ml$whole, type = type)
  found <- if (type == "raw") residuals(ml$whole, type = "raw") else residuals(ml$whole, type = type)
  lapply(found, function(level) list(names = colnames(level$cov), cov = unclass(level$cov), mean = as.vector(level$mean)))
}
plain <- "level: 1\nf =~ y1 + y2 + y3\ng =~ y4 + y5 + y6\nlevel: 2\nf =~ y1 + y2 + y3\ng =~ y4 + y5 + y6\n"
scored <- fitted(plain)
scores <- function(level) unclass(lavPredict(scored, level = level, method = "Bartlett"))
difference <- function(fits) {
  lapply(fits[-1], function(other) {
    test <- as.data.frame(lavTestLRT(other, fits$whole))
    list(chisq = test[2, "Chisq diff"], df = test[2, "Df diff"])
  })
}
measured <- function(fit) as.list(fitMeasures(fit, intersect(c("chisq", "df", "chisq.scaled"), names(fitMeasures(fit)))))
path <- if (dir.exists("tests/reference")) "tests/reference" else "."
write_json(
  list(
    lavaan = as.character(packageVersion("lavaan")), data = data, texts = texts, plain = plain,
    ML = list(measures = lapply(ml, measured), difference = difference(ml)),
    MLR = list(measures = lapply(mlr, measured), difference = difference(mlr)),
    residuals = list(raw = residual("raw"), bollen = residual("cor.bollen"), bentler = residual("cor.bentler")),
    bartlett = list(within = scores(1), between = scores(2))
  ),
  file.path(path, "lavaan_twolevel_apart.json"), dataframe = "columns", auto_unbox = TRUE, digits = 12
)
