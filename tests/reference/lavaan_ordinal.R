# Writes lavaan_ordinal.json: what lavaan says of ordered items, by least squares on thresholds and polychorics.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_ordinal.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

# --- data ------------------------------------------------------------------------------------------------------

hs <- HolzingerSwineford1939
items <- paste0("x", 1:9)
steps <- function(x, k) as.integer(cut(x, c(-Inf, quantile(x, (seq_len(k - 1) / k)^1.3), Inf)))
hs_cut <- function(k) {
  d <- as.data.frame(Map(function(name, many) steps(hs[[name]], many), items, rep_len(k, 9)))
  names(d) <- items
  d$school <- as.character(hs$school)
  d$boy <- as.numeric(hs$sex == 1)
  d$age <- hs$ageyr + hs$agemo / 12
  d$grade <- hs$grade
  d
}
hs2 <- hs_cut(2)
hs3 <- hs_cut(3)
hs4 <- hs_cut(4)
hs5 <- hs_cut(5)
hs_many <- hs_cut(c(2, 3, 4, 5, 6))
hs_mixed <- hs4
hs_mixed[paste0("x", 7:9)] <- hs[paste0("x", 7:9)]
set.seed(20261123)
holes <- function(d, names, share) {
  for (name in names) d[[name]][runif(nrow(d)) < share] <- NA
  d
}
hs_missing <- holes(hs4, items, 0.1)
hs_mixed_missing <- holes(hs_mixed, items, 0.08)

n <- 600
f <- rnorm(n)
g <- 0.5 * f + sqrt(0.75) * rnorm(n)
h <- 0.4 * g + 0.3 * f + rnorm(n)
ordered_of <- function(loading, factor, cuts) {
  findInterval(loading * factor + sqrt(max(1 - loading^2, 0.3)) * rnorm(n), cuts) + 1L
}
chain <- data.frame(
  a1 = ordered_of(0.8, f, c(-1.5, -0.5, 0.5, 1.5)), a2 = ordered_of(0.7, f, c(-1, 0, 1, 1.8)),
  a3 = ordered_of(0.6, f, c(-0.3, 0.9)), b1 = ordered_of(0.8, g, c(-2, -1.2, -0.4, 0.3)),
  b2 = ordered_of(0.75, g, c(-1, 1)), b3 = ordered_of(0.65, g, 0.4), c1 = ordered_of(0.7, h, c(-0.5, 0.5, 1.2)),
  c2 = ordered_of(0.6, h, c(-1, 0, 1)), c3 = round(0.9 * h + rnorm(n) + 4, 3), c4 = round(1.2 * h + rnorm(n), 3)
)
rare <- data.frame(y1 = ordered_of(0.9, f, 1.9), y2 = ordered_of(0.9, f, 1.7), y3 = ordered_of(0.8, f, 0.2),
                   y4 = ordered_of(0.7, f, c(-1.6, 0.2)), y5 = ordered_of(0.85, f, c(-0.5, 1.8)))

level <- rnorm(n)
slope <- 0.4 + 0.3 * rnorm(n)
waves <- as.data.frame(lapply(0:3, function(t) {
  findInterval(level + slope * t + rnorm(n, sd = 0.8 + 0.1 * t), c(-0.8, 0.6, 1.7)) + 1L
}))
names(waves) <- paste0("t", 1:4)

data_sets <- list(hs2 = hs2, hs3 = hs3, hs4 = hs4, hs5 = hs5, hs_many = hs_many, hs_mixed = hs_mixed,
                  hs_missing = hs_missing, hs_mixed_missing = hs_mixed_missing, chain = chain, rare = rare,
                  waves = waves)

# An ordered item that is explained by another one has the wrong residual variance in lavaan 0.6-14, and one that explains
# others is taken to have a known one: such models are tested against equivalent ones instead. Its polyserial correlations
# may stop short of their maximum where the continuous variable is skewed, and given covariates a third of them run into
# their bounds; so the variables here are not skewed, and there are no continuous items beside covariates.

# --- models ----------------------------------------------------------------------------------------------------

three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
six <- paste0("x", 1:6)
mimic <- paste0(three, "visual ~ age + boy\ntextual ~ age\nspeed ~ boy + age\n")
links <- "f =~ a1 + a2 + a3\ng =~ b1 + b2 + b3\nh =~ c1 + c2 + c3 + c4\ng ~ p*f\nh ~ q*g + f\nindirect := p*q\n"
of_chain <- c("a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2")
growth <- paste0(
  "i =~ 1*t1 + 1*t2 + 1*t3 + 1*t4\ns =~ 0*t1 + 1*t2 + 2*t3 + 3*t4\n",
  "t1 | u*t1 + v*t2 + w*t3\nt2 | u*t1 + v*t2 + w*t3\nt3 | u*t1 + v*t2 + w*t3\nt4 | u*t1 + v*t2 + w*t3\n",
  "t1 ~*~ 1*t1\nt2 ~*~ NA*t2\nt3 ~*~ NA*t3\nt4 ~*~ NA*t4\ni ~ 0*1\ns ~ 1\n"
)

case <- function(data, model, ordered, ...) list(data = data, model = model, ordered = ordered, options = list(...))

models <- list(
  two = case("hs2", three, items),
  three = case("hs3", three, items),
  four = case("hs4", three, items),
  five = case("hs5", three, items),
  many = case("hs_many", three, items),
  mixed = case("hs_mixed", three, six),
  missing = case("hs_missing", three, items, missing = "pairwise"),
  listwise = case("hs_missing", three, items, missing = "listwise"),
  mixed_missing = case("hs_mixed_missing", three, six, missing = "pairwise"),
  std_lv = case("hs4", three, items, std.lv = TRUE),
  orthogonal = case("hs4", three, items, orthogonal = TRUE),
  second_order = case("hs5", paste0(three, "general =~ visual + textual + speed\n"), items),
  residual_covariance = case("hs4", paste0(three, "x1 ~~ x7\nx9 ~ visual\n"), items),
  labels = case("hs4", "visual =~ x1 + a*x2 + b*x3\ntextual =~ x4 + c*x5 + c*x6\na + b == 1.5\n", six),
  regressions = case("chain", links, of_chain),
  outcomes = case("chain", "f =~ a1 + a2 + a3\nb1 ~ f\nb2 ~ f\nc1 ~ f\nb1 ~~ b2 + c1\n", of_chain),
  mixed_outcomes = case("chain", "f =~ a1 + a2 + a3\nb1 ~ f\nc3 ~ f\nc4 ~ c3 + f\nb1 ~~ c3\n", of_chain),
  thresholds = case("chain", "f =~ a1 + a2 + a3\ng =~ b1 + b2 + b3\na1 | s*t1 + t2 + t3 + t4\na2 | s*t1 + t2 + 1*t3 + t4\n", of_chain),
  rare = case("rare", "f =~ y1 + y2 + y3 + y4 + y5\n", paste0("y", 1:5)),
  growth = case("waves", growth, paste0("t", 1:4)),
  wlsm = case("hs4", three, items, estimator = "WLSM"),
  wlsmvs = case("hs4", three, items, estimator = "WLSMVS"),
  dwls = case("hs4", three, items, estimator = "DWLS"),
  ulsmv = case("hs4", three, items, estimator = "ULSMV"),
  ulsmv_mixed = case("hs_mixed", three, six, estimator = "ULSMV"),
  wls = case("chain", "f =~ a1 + a2 + a3\ng =~ b1 + b2 + b3\ng ~ f\n", of_chain, estimator = "WLS"),
  groups = case("hs4", three, items, group = "school"),
  groups_loadings = case("hs4", three, items, group = "school", group.equal = "loadings"),
  groups_thresholds = case("hs4", three, items, group = "school", group.equal = c("loadings", "thresholds")),
  groups_partial = case("hs4", three, items, group = "school", group.equal = c("loadings", "thresholds"),
                        group.partial = c("visual=~x3", "x2|t1")),
  groups_mixed = case("hs_mixed", three, six, group = "school", group.equal = c("loadings", "thresholds", "intercepts")),
  groups_missing = case("hs_mixed_missing", three, six, group = "school", missing = "pairwise",
                        group.equal = c("loadings", "thresholds", "intercepts")),
  covariates = case("hs4", mimic, items),
  covariates_direct = case("hs4", paste0(mimic, "x5 ~ boy\n"), items),
  covariates_groups = case("hs4", "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nvisual ~ age\ntextual ~ age + boy\n", six,
                           group = "school", group.equal = c("loadings", "thresholds")),
  covariate_path = case("hs4", "x1 ~ boy + age\nx4 ~ boy + age\nx1 ~~ x4\n", six),
  theta = case("hs4", three, items, parameterization = "theta"),
  theta_many = case("hs_many", three, items, parameterization = "theta", std.lv = TRUE),
  theta_mixed = case("hs_mixed", three, six, parameterization = "theta"),
  theta_missing = case("hs_missing", three, items, parameterization = "theta", missing = "pairwise"),
  theta_second_order = case("hs5", paste0(three, "general =~ visual + textual + speed\n"), items,
                            parameterization = "theta"),
  theta_residuals = case("hs4", paste0(three, "x1 ~~ x7\nx1 ~~ 1.3*x1\nx4 ~~ 0.8*x4\n"), items, parameterization = "theta"),
  theta_regressions = case("chain", links, of_chain, parameterization = "theta"),
  theta_covariates = case("hs4", mimic, items, parameterization = "theta"),
  theta_growth = case("waves", gsub("~\\*~", "~~", growth), paste0("t", 1:4), parameterization = "theta"),
  theta_ulsmv = case("hs4", three, items, estimator = "ULSMV", parameterization = "theta"),
  theta_wls = case("chain", "f =~ a1 + a2 + a3\ng =~ b1 + b2 + b3\ng ~ f\n", of_chain, estimator = "WLS",
                   parameterization = "theta"),
  theta_groups = case("hs4", three, items, group = "school", parameterization = "theta"),
  theta_groups_thresholds = case("hs4", three, items, group = "school", group.equal = c("loadings", "thresholds"),
                                 parameterization = "theta"),
  theta_groups_strict = case("hs4", three, items, group = "school", parameterization = "theta",
                             group.equal = c("loadings", "thresholds", "intercepts", "residuals")),
  theta_groups_partial = case("hs4", three, items, group = "school", group.equal = c("loadings", "thresholds"),
                              group.partial = c("visual=~x3", "x2|t1"), parameterization = "theta"),
  theta_groups_mixed = case("hs_mixed", three, six, group = "school", parameterization = "theta",
                            group.equal = c("loadings", "thresholds", "intercepts", "residuals"))
)

# --- answers ---------------------------------------------------------------------------------------------------

measures <- function(fit) {
  found <- fitMeasures(fit)
  setNames(as.list(as.numeric(found)), gsub(".", "_", names(found), fixed = TRUE))
}

plain <- c(WLSMV = "DWLS", WLSM = "DWLS", WLSMVS = "DWLS", DWLS = "DWLS", ULSMV = "ULS", WLS = "WLS")

slope <- function(fit) drop(lavaan:::lav_model_gradient(fit@Model, lavsamplestats = fit@SampleStats, lavdata = fit@Data))

# lavaan stops some 1e-5 short of the optimum; steps with its own gradient and information bring it there.
fit_tightly <- function(one) {
  estimator <- if (is.null(one$options$estimator)) "WLSMV" else one$options$estimator
  options <- one$options[setdiff(names(one$options), "estimator")]
  d <- data_sets[[one$data]]
  ordered <- intersect(one$ordered, names(d))
  at <- function(table, estimator, ...) {
    more <- options[intersect(names(options), c("group", "missing", "group.equal", "parameterization"))]
    suppressWarnings(do.call("lavaan", c(
      list(table, d, ordered = ordered, estimator = estimator, optim.method = "none"), more, list(...)
    )))
  }
  fit <- suppressWarnings(do.call("sem", c(list(one$model, d, ordered = ordered, estimator = plain[[estimator]]), options)))
  if (!lavInspect(fit, "converged")) return(NULL)
  last <- Inf
  first <- parTable(fit)
  first$ustart[first$free > 0] <- first$est[first$free > 0]
  first$est <- first$se <- first$start <- NULL
  for (round in 1:40) {
    table <- parTable(fit)
    theta <- table$est[table$free > 0][order(table$free[table$free > 0])]
    move <- -drop(lavInspect(fit, "ntotal") * unclass(vcov(fit)) %*% slope(fit))
    last <- max(abs(move))
    theta <- theta + move
    table$ustart[table$free > 0] <- theta[table$free[table$free > 0]]
    table$est <- table$se <- table$start <- NULL
    if (last < 1e-9) break
    # where the steps lead away, lavaan's own end has to do
    if (round > 3 && last > 1e-3) {
      table <- first
      last <- 1e-4
      break
    }
    fit <- at(table, plain[[estimator]])
  }
  list(fit = at(table, estimator), last = last)
}

answer <- function(one) {
  tight <- fit_tightly(one)
  if (is.null(tight)) {
    cat("   does not converge, left out\n")
    return(NULL)
  }
  fit <- tight$fit
  cat("   last step", tight$last, "df", fitMeasures(fit, "df"), "\n")
  rows <- parTable(fit)
  rows <- rows[!rows$op %in% c("==", "<", ">"), ]
  std <- standardizedSolution(fit, se = TRUE)
  key <- function(d) paste(d$lhs, d$op, d$rhs, if (is.null(d$group)) 1L else d$group)
  rows$std_all <- std$est.std[match(key(rows), key(std))]
  rows$std_se <- std$se[match(key(rows), key(std))]
  list(
    data = one$data, model = one$model, ordered = one$ordered, options = one$options,
    rows = rows[c("lhs", "op", "rhs", "group", "free", "est", "se", "std_all", "std_se")],
    measures = measures(fit), last_step = tight$last,
    labels = lavInspect(fit, "group.label")
  )
}

found <- lapply(names(models), function(name) {
  cat(name, "\n")
  answer(models[[name]])
})
names(found) <- names(models)
found <- Filter(Negate(is.null), found)

moments <- local({
  fit <- sem(three, hs_mixed_missing, ordered = six, missing = "pairwise")
  list(data = "hs_mixed_missing", names = lavNames(fit), ordered = six, statistics = fit@SampleStats@WLS.obs[[1]],
       gamma = fit@SampleStats@NACOV[[1]])
})

folder <- if (dir.exists("tests/reference")) "tests/reference" else "."
write_json(
  list(lavaan = as.character(packageVersion("lavaan")), data = data_sets, models = found, moments = moments),
  file.path(folder, "lavaan_ordinal.json"), digits = NA, auto_unbox = TRUE, na = "null", dataframe = "columns"
)
