# Writes lavaan_afterwards.json: lavaan's modification indices, score tests and difference tests of fits that are not
# plain maximum likelihood for complete rows: with missing answers, with scaled tests, with clusters, by least squares;
# and semTools' reliability of factors of factors. The rows are those of lavaan_fiml.json.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_afterwards.R
suppressPackageStartupMessages({
  library(lavaan)
  library(semTools)
  library(jsonlite)
})
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
frames <- lapply(fromJSON(file.path(here, "lavaan_fiml.json"))$frames, function(f) {
  rows <- f$rows
  storage.mode(rows) <- "double"
  setNames(as.data.frame(rows), f$names)
})

three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
mimic <- paste0(three, "visual + textual ~ ageyr + boy\nx3 ~ boy")
equal <- "visual =~ x1 + a*x2 + a*x3\ntextual =~ x4 + b*x5 + b*x6\nspeed =~ x7 + x8 + x9\nx1 ~ m*1\nx2 ~ m*1"
path <- "satisfaction ~ service\nloyalty ~ satisfaction\nprofit ~ loyalty"

theta_of <- function(fit) {
  table <- parTable(fit)
  table$est[table$free > 0][order(table$free[table$free > 0])]
}
# lavaan stops a little short of the optimum: a few Newton steps with its own gradient and information bring it there.
step <- function(fit) {
  slope <- drop(lavaan:::lav_model_gradient(fit@Model, lavsamplestats = fit@SampleStats, lavdata = fit@Data))
  -drop(lavInspect(fit, "nobs") * unclass(lavTech(fit, "inverted.information")) %*% slope / lavInspect(fit, "nobs"))
}
fitted <- function(model, data, ...) {
  options <- list(...)
  if (identical(options$missing, "ml")) options <- c(options, list(em.h1.tol = 1e-13, em.h1.iter.max = 20000))
  fit <- do.call("sem", c(list(model = model, data = frames[[data]]), options))
  stopifnot(lavInspect(fit, "converged"))
  for (round in 1:40) {
    move <- step(fit)
    if (max(abs(move)) < 1e-10) break
    table <- parTable(fit)
    table$ustart[table$free > 0] <- (theta_of(fit) + move)[table$free[table$free > 0]]
    table$est <- table$se <- table$start <- NULL
    fit <- do.call("lavaan", c(
      list(model = table, data = frames[[data]], optim.method = "none"),
      options[!names(options) %in% "meanstructure"], list(meanstructure = any(table$op == "~1"))
    ))
  }
  stopifnot(max(abs(step(fit))) < 1e-7)
  fit
}
tidied <- function(options) {
  names(options) <- gsub(".", "_", names(options), fixed = TRUE)
  lapply(options, unbox)
}

# --- modification indices and score tests ----------------------------------------------------------------------

indices <- function(name, model, data, ...) {
  fit <- fitted(model, data, ...)
  table <- as.data.frame(unclass(suppressWarnings(modificationIndices(fit, sort. = FALSE))))
  table <- table[table$op != "==" & !is.na(table$mi), ]
  cat(sprintf("%-24s %d indices\n", name, nrow(table)))
  list(
    name = unbox(name), model = unbox(model), data = unbox(data), options = tidied(list(...)),
    rows = table[c("lhs", "op", "rhs", "mi", "epc", "sepc.lv", "sepc.all")]
  )
}
scored <- function(name, model, data, ...) {
  fit <- fitted(model, data, ...)
  found <- suppressWarnings(lavTestScore(fit))
  uni <- as.data.frame(unclass(found$uni))
  list(
    name = unbox(name), model = unbox(model), data = unbox(data), options = tidied(list(...)),
    total = list(x2 = unbox(found$test$X2), df = unbox(found$test$df)), x2 = uni$X2
  )
}

# --- difference tests ------------------------------------------------------------------------------------------

different <- function(name, free, strict, data, ...) {
  fits <- list(fitted(free, data, ...), fitted(strict, data, ...))
  table <- suppressWarnings(lavTestLRT(fits[[1]], fits[[2]]))
  wanted <- c("chisq", "df", "cfi", "rmsea", "aic", "bic", "cfi.robust", "rmsea.robust")
  measures <- lapply(fits, function(fit) as.list(fitMeasures(fit)[intersect(wanted, names(fitMeasures(fit)))]))
  cat(sprintf("%-24s %.4f\n", name, table[["Chisq diff"]][2]))
  list(
    name = unbox(name), free = unbox(free), strict = unbox(strict), data = unbox(data), options = tidied(list(...)),
    chisq_diff = unbox(table[["Chisq diff"]][2]), df_diff = unbox(table[["Df diff"]][2]),
    pvalue = unbox(table[["Pr(>Chisq)"]][2]), measures = lapply(measures, lapply, unbox)
  )
}
apart <- paste0(three, "visual ~~ 0*speed\ntextual ~~ 0*speed")
differences <- list(
  different("mlm", three, apart, "hs", estimator = "MLM"),
  different("mlr", three, apart, "hs", estimator = "MLR"),
  different("mlr_equal", gsub("[abm]\\*", "", equal), equal, "hs", estimator = "MLR"),
  different("fiml", three, apart, "hs_mcar", missing = "ml"),
  different("fiml_mlr", three, apart, "hs_mar", missing = "ml", estimator = "MLR"),
  different("cluster", paste0(path, "\nprofit ~ service + satisfaction"), path, "path", missing = "ml", cluster = "branch")
)

# --- reliability of factors of factors -------------------------------------------------------------------------

second <- paste0(three, "ability =~ visual + textual + speed")
second_of <- function(name, model, std) {
  fit <- fitted(model, "hs", std.lv = std)
  found <- suppressWarnings(suppressMessages(reliabilityL2(fit, "ability")))
  list(name = unbox(name), model = unbox(model), std_lv = unbox(std), values = as.list(found))
}

missed <- function(name, model, data, ...) {
  fit <- fitted(model, data, ...)
  plain <- resid(fit, type = "normalized")
  rows <- lavResiduals(fit)
  names <- lavNames(fit, "ov")
  list(
    name = unbox(name), model = unbox(model), data = unbox(data), options = tidied(list(...)), names = names,
    bentler = unname(unclass(rows$cov)), standardized = unname(unclass(rows$cov.z)),
    mean_standardized = unname(as.numeric(rows$mean.z)), normalized = unname(unclass(plain$cov)),
    srmr = unbox(rows$summary["srmr", "total"])
  )
}

write_json(
  list(
    residuals = list(missed("fiml", three, "hs_mcar", missing = "ml"), missed("mar", three, "hs_mar", missing = "ml")),
    lavaan = unbox(as.character(packageVersion("lavaan"))), R = unbox(R.version.string),
    semTools = unbox(as.character(packageVersion("semTools"))),
    modification = list(
      indices("fiml", three, "hs_mcar", missing = "ml"),
      indices("fiml_mar_equal", equal, "hs_mar", missing = "ml"),
      indices("fiml_mimic", mimic, "hs_mcar", missing = "ml"),
      indices("fiml_mlr", three, "hs_mcar", missing = "ml", estimator = "MLR"),
      indices("mlr", three, "hs", estimator = "MLR"),
      indices("gls", three, "hs", estimator = "GLS"),
      indices("wls", three, "hs", estimator = "WLS"),
      indices("gls_means", three, "hs", estimator = "GLS", meanstructure = TRUE)
    ),
    scores = list(
      scored("fiml", equal, "hs_mcar", missing = "ml"),
      scored("fiml_mar", equal, "hs_mar", missing = "ml"),
      scored("gls", equal, "hs", estimator = "GLS"),
      scored("mlr", equal, "hs", estimator = "MLR")
    ),
    differences = differences,
    second_order = list(second_of("second", second, FALSE), second_of("second_std", second, TRUE))
  ),
  file.path(here, "lavaan_afterwards.json"), digits = NA, na = "null", null = "null"
)
