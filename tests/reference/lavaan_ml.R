# Writes lavaan_ml.json: what lavaan says about classical models under ML with complete data in one group.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_ml.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

# --- data ------------------------------------------------------------------------------------------------------

hs <- HolzingerSwineford1939
hs$boy <- as.numeric(hs$sex == 1)
pd <- PoliticalDemocracy
growth_data <- Demo.growth

set.seed(20260901)
n <- 180
quality <- rnorm(n)
holes <- data.frame(
  service = 4 + quality + rnorm(n, sd = 0.6),
  speed = 3 + 0.8 * quality + rnorm(n, sd = 0.7),
  staff = 5 + 0.7 * quality + rnorm(n, sd = 0.8),
  spend = 900 + 220 * quality + rnorm(n, sd = 150)
)
holes <- round(holes, 3)
for (column in names(holes)) holes[sample(n, 9), column] <- NA

items4 <- c("i1", "i2", "i3", "i4")
improper <- matrix(c(
  1.00, 0.80, 0.78, 0.72,
  0.80, 1.00, 0.48, 0.45,
  0.78, 0.48, 1.00, 0.46,
  0.72, 0.45, 0.46, 1.00
), 4, dimnames = list(items4, items4))

moments_of <- function(frame, names) {
  rows <- frame[stats::complete.cases(frame[names]), names]
  list(n = nrow(rows), names = names, covariance = unname(cov(rows)), means = unname(colMeans(rows)))
}

# --- models ----------------------------------------------------------------------------------------------------

three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
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
mediation <- "
  ind60 =~ x1 + x2 + x3
  dem60 =~ y1 + y2 + y3 + y4
  dem65 =~ y5 + y6 + y7 + y8
  dem60 ~ a*ind60
  dem65 ~ c*ind60 + b*dem60
  indirect := a*b
  total := c + a*b
  share := indirect/total
"
curve <- "i =~ 1*t1 + 1*t2 + 1*t3 + 1*t4\ns =~ 0*t1 + 1*t2 + 2*t3 + 3*t4\n"
big_five <- "
  agree =~ A1 + A2 + A3 + A4 + A5
  consc =~ C1 + C2 + C3 + C4 + C5
  extra =~ E1 + E2 + E3 + E4 + E5
  neuro =~ N1 + N2 + N3 + N4 + N5
  open =~ O1 + O2 + O3 + O4 + O5
"
letters9 <- "
  general =~ NA*Sentences + Vocabulary + Sent.Completion + First.Letters + Four.Letter.Words +
             Suffixes + Letter.Series + Pedigrees + Letter.Group
  verbal =~ NA*Sentences + Vocabulary + Sent.Completion
  fluency =~ NA*First.Letters + Four.Letter.Words + Suffixes
  reason =~ NA*Letter.Series + Pedigrees + Letter.Group
  general ~~ 1*general
  verbal ~~ 1*verbal
  fluency ~~ 1*fluency
  reason ~~ 1*reason
  general ~~ 0*verbal + 0*fluency + 0*reason
  verbal ~~ 0*fluency + 0*reason
  fluency ~~ 0*reason
"
thurstone <- as.matrix(psych::Thurstone)
dimnames(thurstone) <- lapply(dimnames(thurstone), function(x) sub("4", "Four", gsub(" ", ".", x)))

case <- function(model, data = NULL, ..., cov = NULL, nobs = NULL, rows = FALSE) {
  list(model = model, data = data, options = list(...), cov = cov, nobs = nobs, rows = rows)
}

cases <- list(
  hs_cfa = case(three, hs),
  hs_std_lv = case(three, hs, std.lv = TRUE),
  hs_orthogonal = case(three, hs, orthogonal = TRUE),
  hs_meanstructure = case(three, hs, meanstructure = TRUE),
  hs_wishart = case(three, hs, likelihood = "wishart"),
  hs_wishart_mimic = case(paste0(three, "visual + textual + speed ~ ageyr + grade"), hs, likelihood = "wishart"),
  hs_equal_loadings = case("visual =~ x1 + a*x2 + a*x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9", hs),
  hs_fixed_loading = case("visual =~ x1 + 0.7*x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9", hs),
  hs_free_marker = case(
    "visual =~ NA*x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\nvisual ~~ 1*visual", hs
  ),
  hs_second_order = case(paste0(three, "ability =~ visual + textual + speed"), hs),
  hs_second_order_std_lv = case(paste0(three, "ability =~ visual + textual + speed"), hs, std.lv = TRUE),
  hs_mimic = case(paste0(three, "visual ~ ageyr + boy\ntextual ~ ageyr + boy\nspeed ~ ageyr + boy"), hs),
  hs_mimic_means = case(
    paste0(three, "visual ~ ageyr + boy\ntextual ~ ageyr + boy\nspeed ~ ageyr + boy\nx3 ~ boy"), hs,
    meanstructure = TRUE
  ),
  hs_residual_covariance = case(paste0(three, "x7 ~~ x8"), hs),
  hs_zero_covariance = case(paste0(three, "visual ~~ 0*speed\ntextual ~~ r*speed\nvisual ~~ r*textual"), hs),
  hs_parallel = case(
    "visual =~ 1*x1 + 1*x2 + 1*x3\nx1 ~~ e*x1\nx2 ~~ e*x2\nx3 ~~ e*x3", hs
  ),
  hs_linear_constraint = case(
    "visual =~ x1 + a*x2 + b*x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\na + b == 1.4", hs
  ),
  hs_proportional_constraint = case(
    "visual =~ x1 + a*x2 + b*x3\ntextual =~ x4 + d*x5 + x6\nspeed =~ x7 + x8 + x9\nb == 1.2*a\nd == a + 0.4", hs
  ),
  hs_latent_mean = case(
    "speed =~ x7 + x8 + x9\nx7 ~ 0*1\nspeed ~ 1", hs, meanstructure = TRUE
  ),
  hs_equal_intercepts = case(
    "speed =~ x7 + x8 + x9\nvisual =~ x1 + x2 + x3\nx7 ~ m*1\nx8 ~ 1\nx9 ~ m*1", hs, meanstructure = TRUE
  ),
  hs_start_values = case("visual =~ x1 + start(0.6)*x2 + start(0.8)*x3\nspeed =~ x7 + x8 + x9", hs),
  pd_equalities = case(democracy, pd),
  pd_mediation = case(mediation, pd),
  pd_mediation_std_lv = case(mediation, pd, std.lv = TRUE),
  pd_single_indicator = case(
    "ind60 =~ x1\nx1 ~~ 0.05*x1\ndem60 =~ y1 + y2 + y3 + y4\ndem65 =~ y5\ndem60 ~ ind60\ndem65 ~ dem60 + ind60", pd
  ),
  attitude_path = case(
    "rating ~ complaints + learning\nlearning ~ complaints + raises\nadvance ~ learning + critical", attitude
  ),
  attitude_path_means = case(
    "rating ~ complaints + learning\nlearning ~ complaints + raises\nadvance ~ learning + critical", attitude,
    meanstructure = TRUE
  ),
  attitude_random_x = case(
    "rating ~ complaints + learning\nlearning ~ complaints + raises\nadvance ~ learning + critical", attitude,
    fixed.x = FALSE
  ),
  attitude_saturated = case("rating ~ complaints + learning\nlearning ~ complaints", attitude),
  attitude_indirect = case(
    "rating ~ b*learning + c*complaints\nlearning ~ a*complaints\nraises ~ d*rating\nab := a*b\nabd := a*b*d", attitude
  ),
  swiss_nonrecursive = case(
    "Fertility ~ Education + Catholic\nEducation ~ Fertility + Examination", swiss
  ),
  growth_plain = case(curve, growth_data, growth = TRUE),
  growth_covariates = case(
    paste0(curve, "i ~ x1 + x2\ns ~ x1 + x2\nt1 ~ c1\nt2 ~ c2\nt3 ~ c3\nt4 ~ c4"), growth_data, growth = TRUE
  ),
  heywood = case("trait =~ i1 + i2 + i3 + i4", cov = improper, nobs = 150),
  bifactor_thurstone = case(letters9, cov = thurstone, nobs = 213),
  big_five = case(big_five, psych::bfi),
  scholastic_path = case("ACT ~ SATV + SATQ + age\nSATV ~ education + age\nSATQ ~ education + age\nSATV ~~ SATQ",
    psych::sat.act
  ),
  listwise_rows = case("quality =~ service + speed + staff\nspend ~ quality", holes, rows = TRUE)
)

# --- fitting and writing ---------------------------------------------------------------------------------------

input_of <- function(item) {
  if (is.null(item$cov)) list(data = item$data) else list(sample.cov = item$cov, sample.nobs = item$nobs)
}

fit_case <- function(item, ...) {
  options <- item$options
  verb <- if (isTRUE(options$growth)) "growth" else "sem"
  options$growth <- NULL
  do.call(verb, c(list(model = item$model), input_of(item), options, list(...)))
}

# Evaluate at `theta` without optimising. (`start = fit` would free the covariates that fixed.x holds.)
at <- function(item, fit, theta) {
  table <- parTable(fit)
  table$ustart[table$free > 0] <- theta[table$free[table$free > 0]]
  table$est <- table$se <- table$start <- NULL
  options <- item$options[names(item$options) %in% c("likelihood", "fixed.x", "meanstructure")]
  do.call("lavaan", c(list(model = table, optim.method = "none"), input_of(item), options))
}

slope <- function(fit) drop(lavaan:::lav_model_gradient(fit@Model, lavsamplestats = fit@SampleStats, lavdata = fit@Data))

# lavaan stops some 1e-5 short of the optimum. A few steps of Fisher scoring with its own gradient and (constrained)
# information bring it there; what is recorded is what lavaan says at that point.
step <- function(fit) {
  gradient <- slope(fit)
  stopifnot(nrow(vcov(fit)) == length(gradient))
  -drop(lavInspect(fit, "nobs") * unclass(vcov(fit)) %*% gradient)
}

fit_tightly <- function(item) {
  fit <- fit_case(item)
  stopifnot(lavInspect(fit, "converged"))
  npar <- fitMeasures(fit, "npar")
  for (round in 1:60) {
    move <- step(fit)
    if (max(abs(move)) < 1e-11) break
    fit <- at(item, fit, lav_theta(fit) + move)
  }
  stopifnot(fitMeasures(fit, "npar") == npar)
  fit
}

lav_theta <- function(fit) {
  table <- parTable(fit)
  table$est[table$free > 0][order(table$free[table$free > 0])]
}

keep <- function(table, columns) {
  table <- as.data.frame(table)
  if (!"label" %in% names(table)) table$label <- ""
  row.names(table) <- NULL
  table[intersect(columns, names(table))]
}

describe <- function(name) {
  item <- cases[[name]]
  capture.output(fit <- suppressWarnings(fit_tightly(item)))
  names_used <- lavNames(fit, "ov")
  moments <- if (is.null(item$cov)) moments_of(item$data, names_used) else list(
    n = item$nobs, names = names_used, covariance = unname(item$cov[names_used, names_used]), means = NULL
  )
  stopifnot(moments$n == lavInspect(fit, "nobs"))
  options <- item$options
  names(options) <- gsub(".", "_", names(options), fixed = TRUE)
  estimates <- keep(parameterEstimates(fit, remove.nonfree = FALSE, remove.eq = FALSE), c(
    "lhs", "op", "rhs", "label", "est", "se", "z", "pvalue", "ci.lower", "ci.upper"
  ))
  standardized <- keep(standardizedSolution(fit), c("lhs", "op", "rhs", "est.std", "se"))
  cat(sprintf("%-28s n=%4d npar=%3d chisq=%10.4f df=%3d last step=%.1e\n", name, moments$n, fitMeasures(fit, "npar"),
              fitMeasures(fit, "chisq"), fitMeasures(fit, "df"), max(abs(step(fit)))))
  c(
    list(name = unbox(name), model = unbox(item$model), options = lapply(options, unbox)),
    list(moments = list(
      n = unbox(moments$n), names = moments$names, covariance = moments$covariance, means = moments$means
    )),
    if (item$rows) list(rows = item$data),
    list(
      last_step = unbox(max(abs(step(fit)))),
      estimates = estimates,
      standardized = standardized,
      fit = lapply(as.list(unclass(fitMeasures(fit))), unbox),
      r2 = lapply(as.list(unclass(lavInspect(fit, "rsquare"))), unbox)
    )
  )
}

here <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
written <- list(
  lavaan = unbox(as.character(packageVersion("lavaan"))),
  R = unbox(R.version.string),
  cases = lapply(names(cases), describe)
)
write_json(written, file.path(dirname(here), "lavaan_ml.json"), digits = NA, na = "null", null = "null")
