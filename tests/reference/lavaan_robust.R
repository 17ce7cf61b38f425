# Writes lavaan_robust.json: what lavaan says with complete data under MLM, MLR, cluster-robust errors, GLS, ULS, WLS.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_robust.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

# --- data ------------------------------------------------------------------------------------------------------

hs <- HolzingerSwineford1939[c(paste0("x", 1:9), "ageyr", "sex")]
hs$boy <- as.numeric(hs$sex == 1)
hs$sex <- NULL
pd <- PoliticalDemocracy

set.seed(20260903)
n <- 400
skewed_normal <- function(n) (rexp(n) - 1)
f1 <- skewed_normal(n)
f2 <- 0.5 * f1 + skewed_normal(n)
skewed <- round(data.frame(
  a1 = 3 + f1 + 0.7 * skewed_normal(n), a2 = 2 + 0.8 * f1 + skewed_normal(n), a3 = 0.7 * f1 + rnorm(n),
  b1 = 5 + f2 + rnorm(n), b2 = 3 * (0.9 * f2 + 0.8 * skewed_normal(n)), b3 = 1 + 0.6 * f2 + rt(n, 5)
), 4)

n <- 300
x <- rexp(n)
w <- 0.4 * x + rt(n, 6)
m <- 1 + 0.5 * x - 0.3 * w + (rexp(n) - 1)
y <- 2 + 0.6 * m + 0.1 * x + (rchisq(n, 3) - 3) / 2
z <- -1 + 0.4 * y + 0.2 * m + rnorm(n) * exp(0.3 * x)
path <- round(data.frame(x, w, m, y, z), 4)

units <- 60
size <- sample(3:14, units, replace = TRUE)
unit <- rep(seq_len(units), size)
n <- length(unit)
between <- rnorm(units)[unit]
trait <- 0.7 * between + rnorm(n)
mood <- 0.5 * trait + 0.4 * rnorm(units)[unit] + rnorm(n)
clustered <- round(data.frame(
  unit = unit * 7,
  t1 = 3 + trait + 0.5 * rnorm(units)[unit] + rnorm(n), t2 = 2 + 0.8 * trait + rnorm(n), t3 = 0.9 * trait + rexp(n),
  m1 = mood + 0.6 * rnorm(units)[unit] + rnorm(n), m2 = 1 + 0.7 * mood + rnorm(n), m3 = 0.8 * mood + rnorm(n),
  tenure = rexp(n) + 0.5 * abs(rnorm(units)[unit])
), 4)
clustered <- clustered[sample(n), ]
rownames(clustered) <- NULL

data_sets <- list(hs = hs, pd = pd, skewed = skewed, path = path, clustered = clustered)

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
two <- "f =~ a1 + a2 + a3\ng =~ b1 + b2 + b3\ng ~ f\n"
chain <- "m ~ p*x + w\ny ~ q*m + x\nz ~ y\nindirect := p*q\n"
linear <- "visual =~ x1 + a*x2 + b*x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\na + b == 1.4\n"
mimic <- paste0(three, "visual ~ ageyr + boy\ntextual ~ ageyr + boy\nspeed ~ ageyr + boy\n")
nested <- "t =~ t1 + t2 + t3\nm =~ m1 + m2 + m3\nm ~ t + tenure\n"

case <- function(data, model, ...) list(data = data, model = model, options = list(...))

models <- list(
  hs = case("hs", three),
  hs_means = case("hs", three, meanstructure = TRUE),
  hs_equal = case("hs", "visual =~ x1 + k*x2 + k*x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"),
  hs_linear = case("hs", linear),
  hs_mimic = case("hs", mimic),
  hs_mimic_means = case("hs", paste0(mimic, "x3 ~ boy\n"), meanstructure = TRUE),
  pd = case("pd", democracy),
  skewed = case("skewed", two),
  skewed_means = case("skewed", paste0(two, "a1 ~ i*1\na3 ~ 1\nb1 ~ 1\n"), meanstructure = TRUE),
  path = case("path", chain),
  path_means = case("path", chain, meanstructure = TRUE),
  path_random_x = case("path", chain, fixed.x = FALSE),
  path_saturated = case("path", "y ~ m + x\nm ~ x")
)
# WLS needs more rows than moments, and no moment that is a function of the others (as the square of a yes or no).
estimators <- c("MLM", "MLR", "GLS", "ULSM", "WLS")
cases <- list()
for (name in names(models)) for (estimator in estimators) {
  if (estimator == "WLS" && name %in% c("pd", "hs_mimic_means")) next
  item <- models[[name]]
  item$estimator <- estimator
  cases[[paste0(name, "_", tolower(estimator))]] <- item
}
for (estimator in c("ML", "MLR")) for (name in c("clustered", "clustered_fixed", "clustered_equal")) {
  item <- case("clustered", switch(name,
    clustered = "t =~ t1 + t2 + t3\nm =~ m1 + m2 + m3\n",
    clustered_fixed = nested,
    clustered_equal = "t =~ t1 + k*t2 + k*t3\nm =~ m1 + m2 + m3\nm ~ t\n"
  ))
  item$estimator <- estimator
  item$cluster <- "unit"
  cases[[paste0(name, "_", tolower(estimator))]] <- item
}

# --- fitting and writing ---------------------------------------------------------------------------------------

plain <- c(MLM = "ML", MLR = "ML", ULSM = "ULS")

fit_case <- function(item, estimator, ...) {
  do.call("sem", c(list(model = item$model, data = data_sets[[item$data]], estimator = estimator), item$options, list(...)))
}

at <- function(item, fit, theta, estimator, ...) {
  table <- parTable(fit)
  table$ustart[table$free > 0] <- theta[table$free[table$free > 0]]
  table$est <- table$se <- table$start <- NULL
  do.call("lavaan", c(
    list(model = table, optim.method = "none", data = data_sets[[item$data]], estimator = estimator), item$options, list(...)
  ))
}

slope <- function(fit) drop(lavaan:::lav_model_gradient(fit@Model, lavsamplestats = fit@SampleStats, lavdata = fit@Data))

lav_theta <- function(fit) {
  table <- parTable(fit)
  table$est[table$free > 0][order(table$free[table$free > 0])]
}

step <- function(fit) {
  n <- lavInspect(fit, "nobs")
  if (fit@Options$estimator != "ML") n <- n - 1
  -drop(n * unclass(vcov(fit)) %*% slope(fit))
}

# lavaan stops some 1e-5 short of the optimum; steps with its own gradient and information bring it there.
fit_tightly <- function(item) {
  estimator <- item$estimator
  base <- if (estimator %in% names(plain)) plain[[estimator]] else estimator
  means <- if (is.null(item$cluster)) list() else list(meanstructure = TRUE)
  item$options <- c(item$options, means)
  fit <- fit_case(item, base)
  stopifnot(lavInspect(fit, "converged"))
  last <- Inf
  for (round in 1:400) {
    move <- step(fit)
    last <- max(abs(move))
    if (last < 1e-10) break
    fit <- at(item, fit, lav_theta(fit) + move, base)
  }
  extra <- if (is.null(item$cluster)) list() else list(cluster = item$cluster)
  robust <- do.call(at, c(list(item, fit, lav_theta(fit), estimator), extra))
  list(fit = robust, last = last)
}

keep <- function(table, columns) {
  table <- as.data.frame(table)
  row.names(table) <- NULL
  table[intersect(columns, names(table))]
}

describe <- function(name) {
  item <- cases[[name]]
  capture.output(found <- suppressWarnings(fit_tightly(item)))
  fit <- found$fit
  measures <- suppressWarnings(fitMeasures(fit))
  cat(sprintf("%-26s npar=%3d chisq=%10.4f df=%3d scaled=%10.4f last step=%.1e\n", name, measures["npar"],
              measures["chisq"], measures["df"], measures["chisq.scaled"], found$last))
  options <- item$options
  names(options) <- gsub(".", "_", names(options), fixed = TRUE)
  list(
    name = unbox(name), data = unbox(item$data), model = unbox(item$model), estimator = unbox(item$estimator),
    cluster = if (is.null(item$cluster)) NULL else unbox(item$cluster), options = lapply(options, unbox),
    last_step = unbox(found$last),
    estimates = keep(parameterEstimates(fit, remove.nonfree = FALSE, remove.eq = FALSE), c("lhs", "op", "rhs", "est", "se")),
    fit = lapply(as.list(unclass(measures)), unbox)
  )
}

# Scaled difference tests of nested pairs: the first has more restrictions.
pairs <- list(
  hs = c("hs_equal", "hs"), linear = c("hs_linear", "hs"),
  skewed = c("skewed_restricted", "skewed"), path = c("path", "path_free")
)
models$skewed_restricted <- case("skewed", "f =~ a1 + k*a2 + k*a3\ng =~ b1 + b2 + b3\ng ~~ 0*f\n")
models$path_free <- case("path", paste0(chain, "z ~ m + x + w\n"))
models$path <- models$path

difference <- function(name, estimator, method) {
  both <- lapply(pairs[[name]], function(model) {
    item <- models[[model]]
    item$estimator <- estimator
    capture.output(found <- suppressWarnings(fit_tightly(item)))
    found$fit
  })
  test <- suppressWarnings(lavTestLRT(both[[2]], both[[1]], method = method))
  list(
    restricted = unbox(models[[pairs[[name]][1]]]$model), free = unbox(models[[pairs[[name]][2]]]$model),
    data = unbox(models[[pairs[[name]][1]]]$data), estimator = unbox(estimator), method = unbox(method),
    chisq = unbox(test[2, "Chisq diff"]), df = unbox(test[2, "Df diff"]), pvalue = unbox(test[2, "Pr(>Chisq)"])
  )
}

differences <- list()
for (name in names(pairs)) for (estimator in c("MLM", "MLR")) {
  for (method in c("satorra.bentler.2001", "satorra.bentler.2010")) {
    differences[[length(differences) + 1]] <- difference(name, estimator, method)
  }
}

here <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
written <- list(
  lavaan = unbox(as.character(packageVersion("lavaan"))),
  R = unbox(R.version.string),
  data = lapply(data_sets, as.list),
  cases = lapply(names(cases), describe),
  differences = differences
)
write_json(written, file.path(dirname(here), "lavaan_robust.json"), digits = NA, na = "null", null = "null")
