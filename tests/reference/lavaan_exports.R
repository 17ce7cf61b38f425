# Writes lavaan_exports.json: what lavaan makes of model texts as this package writes them for it.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_exports.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

hs <- HolzingerSwineford1939
hs$boy <- as.numeric(hs$sex == 1)
names(hs)[names(hs) == "x1"] <- "visual.task.1"

texts <- list(
  equal = "visual =~ 1*visual.task.1 + equal1*x2 + equal1*x3
speed =~ NA*x7 + a*x8 + x9
speed ~ k*visual
x7 ~~ x8
speed ~~ 1*speed
visual.task.1 ~~ visual.task.1
x2 ~~ x2
x3 ~~ x3
x7 ~~ x7
x8 ~~ x8
x9 ~~ x9
visual ~~ NA*visual
double := 2*k",
  covariates = "f =~ 1*visual.task.1 + x2 + x3
f ~ ageyr + boy
visual.task.1 ~~ visual.task.1
x2 ~~ x2
x3 ~~ x3
f ~~ NA*f
visual.task.1 ~ 1
x2 ~ 1
x3 ~ 1
f ~ 0*1"
)

describe <- function(name) {
  fit <- lavaan::lavaan(texts[[name]], hs)
  table <- parTable(fit)
  table <- table[table$op != "==", ]
  list(
    name = unbox(name), text = unbox(texts[[name]]), chisq = unbox(fitMeasures(fit, "chisq")[[1]]),
    df = unbox(fitMeasures(fit, "df")[[1]]),
    estimates = data.frame(lhs = table$lhs, op = table$op, rhs = table$rhs, est = table$est),
    moments = list(
      n = unbox(nrow(hs)), names = lavNames(fit, "ov"), means = unname(colMeans(hs[lavNames(fit, "ov")])),
      covariance = unname(cov(hs[lavNames(fit, "ov")]))
    )
  )
}

here <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
write_json(lapply(names(texts), describe), file.path(dirname(here), "lavaan_exports.json"), digits = NA)
