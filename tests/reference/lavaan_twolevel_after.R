# Writes lavaan_twolevel_after.json: two-level models in two groups, equal parameters across groups, constraints that
# are not linear, modification indices, score tests, scores of rows, reliability by level, and chi-squares of each level
# with the other one saturated; on simulated rows. Written from the manuals of lavaan and semTools.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_twolevel_after.R
suppressPackageStartupMessages({
  library(lavaan)
  library(semTools)
  library(jsonlite)
})

set.seed(20261124)
simulate <- function(sizes, loading) {
  units <- length(sizes)
  climate <- rnorm(units)
  support <- 0.6 * climate + rnorm(units, sd = 0.8)
  unit <- rep(seq_len(units), sizes)
  n <- length(unit)
  tenure <- rnorm(n)
  effort <- 0.5 * tenure + rnorm(n)
  between <- outer(support, loading) + matrix(rnorm(4 * units, sd = 0.4), units)
  within <- outer(effort, loading) + matrix(rnorm(4 * n, sd = 0.8), n)
  answers <- between[unit, ] + within
  data.frame(
    unit = unit, tenure = round(tenure, 3), a = round(4 + answers[, 1], 3), b = round(5 + answers[, 2], 3),
    c = round(6 + answers[, 3], 3), d = round(3 + answers[, 4], 3), climate = round(climate[unit], 3)
  )
}
north <- simulate(sample(3:12, 60, replace = TRUE), c(1, 0.8, 0.7, 0.9))
south <- simulate(sample(3:12, 50, replace = TRUE), c(1, 0.8, 0.6, 1.1))
south$unit <- south$unit + 1000
rows <- rbind(cbind(north, land = "north"), cbind(south, land = "south"))
# lavaan's scores of clusters move with the mean of a variable of rows alone, and with them its robust errors
rows$tenure <- rows$tenure - ave(rows$tenure, rows$land)
rows$tenure <- round(rows$tenure, 6)

levels <- function(within, between) paste0("level: 1\n", within, "\nlevel: 2\n", between, "\n")
grouped <- function(one, other) paste0("group: north\n", one, "group: south\n", other)
shared <- levels("f =~ a + l2*b + l3*c + l4*d\nf ~ tenure", "g =~ a + l2*b + l3*c + l4*d\ng ~ climate")
plain <- levels("f =~ a + b + c + d\nf ~ tenure", "g =~ a + b + c + d\ng ~ climate")
scalar <- function(mean) levels(
  "f =~ a + l2*b + l3*c + l4*d\nf ~ tenure",
  paste0("g =~ a + k2*b + k3*c + k4*d\ng ~ climate\na ~ i1*1\nb ~ i2*1\nc ~ i3*1\nd ~ i4*1\ng ~ ", mean, "*1"))
labelled <- levels("f =~ a + l2*b + l3*c + d\nf ~ p*tenure", "g =~ a + k2*b + k3*c + d\ng ~ q*climate")
# lavaan weighs the groups of a two-level model by something else than their rows: where they share parameters its end
# has a lower likelihood, by its own logLik(), than there is. So its single groups are brought together here.
jobs <- list(
  groups_free = list(text = grouped(plain, plain), each = c(north = plain, south = plain)),
  groups_equal = list(text = grouped(shared, shared), each = c(north = shared, south = shared)),
  groups_scalar = list(text = grouped(scalar("0"), scalar("NA")), each = c(north = scalar("0"), south = scalar("NA"))),
  nonlinear = list(text = paste0(labelled, "p * q == 0.25\n")),
  inequality = list(text = paste0(labelled, "l3 > k2\n")),
  bound = list(text = levels("f =~ a + b + c + d\nf ~ tenure", "g =~ a + b + c + d\ng ~ upper(0.45)*climate")),
  factor = list(text = plain),
  equal = list(text = shared)
)

exactly <- function(job, ...) {
  control <- list(eval.max = 50000L, iter.max = 50000L)
  fit <- sem(job$text, rows, cluster = "unit", control = control, ...)
  stopifnot(lavInspect(fit, "converged"))
  fit
}

table_of <- function(fit) {
  rows <- parameterEstimates(fit, remove.nonfree = FALSE)
  rows <- rows[!rows$op %in% c("==", "<", ">"), ]
  table <- parTable(fit)
  table <- table[!table$op %in% c("==", "<", ">"), ]
  group <- if (is.null(table$group)) rep(1L, nrow(table)) else table$group
  data.frame(lhs = rows$lhs, op = rows$op, rhs = rows$rhs, group = group, level = table$level, est = rows$est,
             se = rows$se)
}

indices <- function(fit) {
  found <- modindices(fit)
  found <- found[found$mi > 1e-8, ]
  if (is.null(found$group)) found$group <- 1L
  as.list(found[c("lhs", "op", "rhs", "group", "level", "mi", "epc", "sepc.lv", "sepc.all", "sepc.nox")])
}

together <- function(name) {
  job <- jobs[[name]]
  start <- lapply(names(job$each), function(land) sem(
    job$each[[land]], rows[rows$land == land, ], cluster = "unit", optim.method = "none", baseline = FALSE))
  names(start) <- names(job$each)
  apart <- lapply(names(job$each), function(land) sem(plain, rows[rows$land == land, ], cluster = "unit"))
  keys <- lapply(names(start), function(land) {
    table <- parTable(start[[land]])
    table <- table[table$free > 0, ]
    ifelse(nzchar(table$label) & !startsWith(table$label, ".p"), table$label, paste(land, table$free))
  })
  every <- unique(unlist(keys))
  value <- function(theta, g, what) {
    fit <- start[[g]]
    model <- lavaan:::lav_model_set_parameters(fit@Model, theta[match(keys[[g]], every)])
    n <- lavInspect(fit, "nobs")
    # the objective of one group is half of minus twice the log-likelihood by row, up to a constant
    if (what == "value") return(n * as.numeric(lavaan:::lav_model_objective(
      model, lavsamplestats = fit@SampleStats, lavdata = fit@Data, lavcache = fit@Cache)))
    slope <- n * drop(lavaan:::lav_model_gradient(
      model, lavsamplestats = fit@SampleStats, lavdata = fit@Data, lavcache = fit@Cache))
    full <- numeric(length(every))
    for (i in seq_along(slope)) {
      at <- match(keys[[g]][i], every)
      full[at] <- full[at] + slope[i]
    }
    full
  }
  goal <- function(theta) sum(sapply(seq_along(start), function(g) value(theta, g, "value")))
  slope <- function(theta) rowSums(sapply(seq_along(start), function(g) value(theta, g, "slope")))
  begin <- numeric(length(every))
  for (g in seq_along(start)) {
    table <- parTable(sem(job$each[[g]], rows[rows$land == names(start)[g], ], cluster = "unit"))
    begin[match(keys[[g]], every)] <- table$est[table$free > 0]
  }
  found <- nlminb(begin, goal, slope, control = list(iter.max = 5000, eval.max = 5000, rel.tol = 1e-12))
  theta <- found$par
  bend <- numDeriv::jacobian(slope, theta)
  for (round in 1:5) theta <- theta - solve(bend, slope(theta))
  bend <- numDeriv::jacobian(slope, theta)
  covariance <- solve((bend + t(bend)) / 2)
  tables <- lapply(seq_along(start), function(g) {
    table <- parTable(start[[g]])
    table <- table[!table$op %in% c("==", "<", ">") & table$free > 0, ]
    at <- match(keys[[g]], every)
    data.frame(lhs = table$lhs, op = table$op, rhs = table$rhs, group = names(start)[g], level = table$level,
               est = theta[at], se = sqrt(diag(covariance))[at])
  })
  # rises of the log-likelihood above that of the free moments, from single fits and their own differences
  single <- sapply(apart, function(fit) fitMeasures(fit, c("chisq", "unrestricted.logl", "baseline.chisq")))
  known <- unlist(lapply(seq_along(start), function(g) {
    table <- parTable(apart[[g]])
    n <- lavInspect(apart[[g]], "nobs")
    n * as.numeric(lavaan:::lav_model_objective(apart[[g]]@Model, lavsamplestats = apart[[g]]@SampleStats,
                                                lavdata = apart[[g]]@Data, lavcache = apart[[g]]@Cache))
  }))
  cat(name, max(abs(slope(theta))), "\n")
  list(
    text = job$text, group = "land", rows = do.call(rbind, tables),
    chisq = sum(single["chisq", ]) + 2 * (goal(theta) - sum(known)), baseline = sum(single["baseline.chisq", ])
  )
}

run <- function(name) {
  job <- jobs[[name]]
  if (!is.null(job$each)) return(together(name))
  fit <- exactly(job)
  robust <- exactly(job, estimator = "MLR")
  result <- list(
    text = job$text, group = "", rows = table_of(fit), robust_se = table_of(robust)$se,
    measures = as.list(unclass(fitMeasures(fit))), robust = as.list(unclass(fitMeasures(robust)))
  )
  cat(name, fitMeasures(fit, c("chisq", "df")), "\n")
  if (!name %in% c("nonlinear", "inequality", "bound")) result$indices <- try_or_null(indices(fit))
  if (name == "equal") {
    score <- lavTestScore(fit)
    result$score <- list(total = score$test$X2, df = score$test$df, each = score$uni$X2)
  }
  if (name == "factor") {
    result$scores <- as.vector(lavPredict(fit, level = 1L))
    result$omega <- lapply(compRelSEM(fit), as.list)
    result$alpha <- lapply(compRelSEM(fit, tau.eq = TRUE), as.list)
    for (level in c("within", "between")) {
      wide <- levels(
        if (level == "within") "f =~ a + b + c + d\nf ~ tenure" else "a ~ tenure\nb ~ tenure\nc ~ tenure\nd ~ tenure\na ~~ b + c + d\nb ~~ c + d\nc ~~ d",
        if (level == "between") "g =~ a + b + c + d\ng ~ climate" else "a ~ climate\nb ~ climate\nc ~ climate\nd ~ climate\na ~~ b + c + d\nb ~~ c + d\nc ~~ d")
      result[[paste0("saturated_but_", level)]] <- as.list(unclass(fitMeasures(exactly(list(text = wide)))))
      alone <- levels(
        if (level == "within") "a ~~ a\nb ~~ b\nc ~~ c\nd ~~ d\ntenure ~~ tenure" else "a ~ tenure\nb ~ tenure\nc ~ tenure\nd ~ tenure\na ~~ b + c + d\nb ~~ c + d\nc ~~ d",
        if (level == "between") "a ~~ a\nb ~~ b\nc ~~ c\nd ~~ d\nclimate ~~ climate" else "a ~ climate\nb ~ climate\nc ~ climate\nd ~ climate\na ~~ b + c + d\nb ~~ c + d\nc ~~ d")
      result[[paste0("independent_", level)]] <- as.list(unclass(fitMeasures(exactly(list(text = alone)))))
    }
  }
  result
}
try_or_null <- function(value) tryCatch(value, error = function(e) NULL)

results <- lapply(setNames(names(jobs), names(jobs)), run)
path <- if (dir.exists("tests/reference")) "tests/reference" else "."
write_json(
  list(lavaan = as.character(packageVersion("lavaan")), R = R.version.string, data = rows, models = results),
  file.path(path, "lavaan_twolevel_after.json"), dataframe = "columns", auto_unbox = TRUE, digits = 12
)
