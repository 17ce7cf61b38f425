# Writes lavaan_inference.json: lavaan's modification indices, score tests, Wald tests and chi-square difference tests,
# and the standard errors of its bootstrap.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_inference.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

hs <- HolzingerSwineford1939
hs$boy <- as.numeric(hs$sex == 1)
pd <- PoliticalDemocracy

three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
democracy <- "
  ind60 =~ x1 + x2 + x3
  dem60 =~ y1 + a*y2 + b*y3 + c*y4
  dem65 =~ y5 + a*y6 + b*y7 + c*y8
  dem60 ~ ind60
  dem65 ~ ind60 + dem60
"
labelled <- "
  ind60 =~ x1 + x2 + x3
  dem60 =~ y1 + a2*y2 + a3*y3 + a4*y4
  dem65 =~ y5 + b2*y6 + b3*y7 + b4*y8
  dem60 ~ p*ind60
  dem65 ~ q*ind60 + r*dem60
  y1 ~~ e1*y5
"

# --- fitting, polished as in lavaan_ml.R -----------------------------------------------------------------------

lav_theta <- function(fit) {
  table <- parTable(fit)
  table$est[table$free > 0][order(table$free[table$free > 0])]
}

at <- function(fit, theta, data, options) {
  table <- parTable(fit)
  table$ustart[table$free > 0] <- theta[table$free[table$free > 0]]
  table$est <- table$se <- table$start <- NULL
  keep <- options[names(options) %in% c("likelihood", "fixed.x", "meanstructure")]
  do.call("lavaan", c(list(model = table, data = data, optim.method = "none"), keep))
}

step <- function(fit) {
  slope <- drop(lavaan:::lav_model_gradient(fit@Model, lavsamplestats = fit@SampleStats, lavdata = fit@Data))
  -drop(lavInspect(fit, "nobs") * unclass(vcov(fit)) %*% slope)
}

tight <- function(model, data, ...) {
  options <- list(...)
  fit <- do.call("sem", c(list(model = model, data = data), options))
  stopifnot(lavInspect(fit, "converged"))
  for (round in 1:60) {
    move <- step(fit)
    if (max(abs(move)) < 1e-11) break
    fit <- at(fit, lav_theta(fit) + move, data, options)
  }
  stopifnot(max(abs(step(fit))) < 1e-8)
  fit
}

moments_of <- function(fit, data) {
  names <- lavNames(fit, "ov")
  list(
    n = unbox(lavInspect(fit, "nobs")), names = names,
    covariance = unname(cov(data[names])), means = unname(colMeans(data[names]))
  )
}

tidied <- function(options) {
  names(options) <- gsub(".", "_", names(options), fixed = TRUE)
  lapply(options, unbox)
}

# --- modification indices --------------------------------------------------------------------------------------

case <- function(model, data, ...) list(model = model, data = data, options = list(...))

cases <- list(
  hs_cfa = case(three, hs),
  hs_means = case(three, hs, meanstructure = TRUE),
  hs_wishart = case(three, hs, likelihood = "wishart"),
  hs_fixed_rows = case(paste0(three, "visual ~~ 0*speed\nx7 ~~ 0*x8\nx9 ~~ 0.5*x9"), hs),
  hs_second_order = case(paste0(three, "ability =~ visual + textual + speed"), hs),
  hs_mimic = case(paste0(three, "visual + textual ~ ageyr + boy"), hs),
  hs_mimic_means = case(paste0(three, "visual + textual ~ ageyr + boy\nx3 ~ boy"), hs, meanstructure = TRUE),
  pd_equalities = case(democracy, pd),
  pd_free = case(labelled, pd),
  attitude_path = case("rating ~ complaints + learning\nlearning ~ raises", attitude),
  attitude_random_x = case("rating ~ complaints + learning\nlearning ~ raises", attitude, fixed.x = FALSE)
)

indices <- function(name) {
  item <- cases[[name]]
  fit <- do.call("tight", c(list(item$model, item$data), item$options))
  table <- as.data.frame(unclass(modificationIndices(fit, sort. = FALSE)))
  cat(sprintf("%-20s %d indices\n", name, nrow(table)))
  list(
    name = unbox(name), model = unbox(item$model), options = tidied(item$options),
    moments = moments_of(fit, item$data), rows = table[c("lhs", "op", "rhs", "mi", "epc", "sepc.lv", "sepc.all", "sepc.nox")]
  )
}

# --- releasing equalities --------------------------------------------------------------------------------------

scored <- function(name, model, data) {
  fit <- tight(model, data)
  found <- suppressWarnings(lavTestScore(fit))
  table <- parTable(fit)
  word <- function(plabel) vapply(plabel, function(p) {
    row <- table[table$plabel == p, ]
    if (nrow(row)) paste0(row$lhs, row$op, row$rhs) else p
  }, "")
  uni <- as.data.frame(unclass(found$uni))
  list(
    name = unbox(name), model = unbox(model), moments = moments_of(fit, data),
    total = list(x2 = unbox(found$test$X2), df = unbox(found$test$df), p = unbox(found$test$p.value)),
    rows = data.frame(lhs = word(uni$lhs), rhs = word(uni$rhs), x2 = uni$X2, df = uni$df, p = uni$p.value)
  )
}

# --- Wald tests ------------------------------------------------------------------------------------------------

waldfit <- tight(labelled, pd)
waldtexts <- c(
  "a2 == b2", "a2 == b2; a3 == b3; a4 == b4", "q == 0", "p*r == 0.8", "a2*b3 == 1.5; q + p == 2*r; e1 == 0.5",
  "exp(q) == a3^2 - sqrt(b4)", "a2 + a3 == 2.5"
)
wald <- lapply(waldtexts, function(text) {
  found <- lavTestWald(waldfit, gsub(";", "\n", text))
  list(text = unbox(text), stat = unbox(found$stat), df = unbox(found$df), p = unbox(found$p.value))
})

# --- nested models ---------------------------------------------------------------------------------------------

nested <- list(
  free = three,
  two_zero = paste0(three, "visual ~~ 0*speed\nvisual ~~ 0*textual"),
  orthogonal = paste0(three, "visual ~~ 0*speed\nvisual ~~ 0*textual\ntextual ~~ 0*speed"),
  tau = paste0(
    "visual =~ 1*x1 + 1*x2 + 1*x3\ntextual =~ 1*x4 + 1*x5 + 1*x6\nspeed =~ 1*x7 + 1*x8 + 1*x9\n",
    "visual ~~ 0*speed\nvisual ~~ 0*textual\ntextual ~~ 0*speed"
  )
)
fits <- lapply(nested, tight, data = hs)
table <- lavTestLRT(fits$free, fits$two_zero, fits$orthogonal, fits$tau)
measures <- t(sapply(fits, fitMeasures, c("cfi", "rmsea", "aic", "bic")))
difference <- data.frame(
  df = table$Df, aic = table$AIC, bic = table$BIC, chisq = table$Chisq, chisq_diff = table[["Chisq diff"]],
  df_diff = table[["Df diff"]], p = table[["Pr(>Chisq)"]], cfi = measures[, "cfi"],
  rmsea = measures[, "rmsea"]
)
row.names(difference) <- NULL

# --- bootstrap -------------------------------------------------------------------------------------------------

set.seed(20260915)
booted <- sem(three, hs)
replicates <- bootstrapLavaan(booted, R = 1000)
stine <- bootstrapLavaan(booted, R = 300, type = "bollen.stine", FUN = fitMeasures, fit.measures = "chisq")
resampled <- list(
  model = unbox(three), variables = paste0("x", 1:9), data = hs[paste0("x", 1:9)], names = names(coef(booted)),
  std_error = unname(apply(replicates, 2, sd)), mean = unname(colMeans(replicates)),
  stine_mean = unbox(mean(stine)), stine_sd = unbox(sd(stine)), stine_p = unbox(mean(stine >= fitMeasures(booted, "chisq")))
)

here <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
written <- list(
  lavaan = unbox(as.character(packageVersion("lavaan"))),
  R = unbox(R.version.string),
  modification = lapply(names(cases), indices),
  scores = list(
    scored("pd_equalities", democracy, pd),
    scored("hs_equal", "visual =~ x1 + a*x2 + a*x3\ntextual =~ x4 + b*x5 + b*x6\nspeed =~ x7 + x8 + x9", hs),
    scored("hs_linear", "visual =~ x1 + a*x2 + b*x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\na + b == 1.4", hs)
  ),
  wald = list(model = unbox(labelled), moments = moments_of(waldfit, pd), tests = wald),
  nested = list(models = lapply(nested, unbox), moments = moments_of(fits$free, hs), rows = difference),
  bootstrap = resampled
)
write_json(written, file.path(dirname(here), "lavaan_inference.json"), digits = NA, na = "null", null = "null")
