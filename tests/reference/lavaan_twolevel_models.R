# Writes lavaan_twolevel_models.json: what lavaan says about models structured on both levels, on its own Demo.twolevel
# and on simulated data: balanced, unbalanced with rows in any order, and with many clusters of one row.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_twolevel_models.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

# --- data ------------------------------------------------------------------------------------------------------

set.seed(20261123)
simulate <- function(sizes) {
  units <- length(sizes)
  climate <- rnorm(units)
  support <- 0.6 * climate + rnorm(units, sd = 0.8)
  wealth <- 0.3 * climate + rnorm(units, sd = 0.5)
  unit <- rep(seq_len(units), sizes)
  n <- length(unit)
  tenure <- rexp(n)
  effort <- 0.5 * tenure + rnorm(n)
  between <- outer(support, c(1, 0.8, 0.7)) + matrix(rnorm(3 * units, sd = 0.4), units)
  within <- outer(effort, c(1, 0.8, 0.7)) + matrix(rnorm(3 * n, sd = 0.8), n)
  answers <- between[unit, ] + within
  data.frame(
    unit = paste0("u", unit), tenure = round(tenure, 3), pay = round(wealth[unit] + rnorm(n) + 0.2 * tenure, 3),
    a = round(4 + answers[, 1], 3), b = round(5 + answers[, 2], 3), c = round(40 + 8 * answers[, 3], 3),
    climate = round(climate[unit], 3), profit = round(2 + (0.4 * support + rnorm(units, sd = 0.5))[unit], 3)
  )
}
# lavaan's scores of clusters are off, and with them robust errors and scaled tests, where variables of rows alone have
# a mean other than zero: moved by a constant, they change errors that they cannot change.
centred <- function(data, names) {
  data[names] <- scale(data[names], scale = FALSE)
  data
}
shuffled <- function(data) data[sample(nrow(data)), ]
datasets <- list(
  balanced = simulate(rep(8, 60)),
  unbalanced = shuffled(simulate(sample(2:15, 80, replace = TRUE))),
  singles = shuffled(simulate(sample(c(1, 1, 1, 2, 3, 5), 150, replace = TRUE)))
)
datasets <- lapply(datasets, centred, c("tenure", "pay"))
lavaans <- centred(Demo.twolevel, c("x1", "x2", "x3"))
everything <- c(datasets, list(demo = lavaans))
clusters <- c(balanced = "unit", unbalanced = "unit", singles = "unit", demo = "cluster")

# lavaan's own data: rows a cluster, means and cross-products of deviations from them
facts <- function(data, cluster, names, outcomes) {
  group <- match(data[[cluster]], unique(data[[cluster]]))
  size <- as.vector(table(group))
  values <- as.matrix(data[names])
  means <- rowsum(values, group) / size
  apart <- values - means[group, ]
  pairs <- which(lower.tri(diag(length(names)), diag = TRUE), arr.ind = TRUE)
  list(names = names, outcomes = outcomes, sizes = size, means = unname(means),
       scatter = unname(rowsum(apart[, pairs[, 1]] * apart[, pairs[, 2]], group)),
       outcome_values = unname(rowsum(as.matrix(data[outcomes]), group) / size))
}

# --- models ----------------------------------------------------------------------------------------------------

levels <- function(within, between) paste0("level: 1\n", within, "\nlevel: 2\n", between)
documented <- levels("fw =~ y1 + y2 + y3\nfw ~ x1 + x2 + x3", "fb =~ y1 + y2 + y3\nfb ~ w1 + w2")
factor <- levels("f =~ a + b + c\nf ~ tenure", "g =~ a + b + c\ng ~ climate")
jobs <- list(
  documented = list(data = "demo", text = documented),
  random_covariates = list(data = "demo", text = documented, fixed.x = FALSE),
  equal_loadings = list(data = "demo", text = levels(
    "fw =~ y1 + a*y2 + b*y3\nfw ~ x1 + x2 + x3", "fb =~ y1 + a*y2 + b*y3\nfb ~ w1 + w2")),
  two_factors = list(data = "demo", text = levels(
    "f1 =~ y1 + y2 + y3\nf2 =~ y4 + y5 + y6", "g1 =~ y1 + y2 + y3\ng2 =~ y4 + y5 + y6")),
  cross_loading = list(data = "demo", text = levels(
    "f1 =~ y1 + y2\nf2 =~ y3 + 1*y2\nf2 ~~ 0*f1\nf1 ~ x1\nf2 ~ x2", "g =~ y1 + y2 + y3\ng ~ w1")),
  path = list(data = "demo", text = levels("y1 ~ x1 + x2\ny2 ~ y1 + x3", "y1 ~ w1\ny2 ~ y1 + w2")),
  covariate_on_both = list(data = "demo", text = levels("y1 ~ y4 + x1", "y1 ~ y4 + w1")),
  free_within = list(data = "demo", text = levels(
    "y1 ~~ y2 + y3\ny2 ~~ y3", "fb =~ y1 + y2 + y3\nfb ~ w1\nw2 ~ fb")),
  residuals = list(data = "demo", text = levels(
    "fw =~ y1 + y2 + y3 + y4\ny1 ~~ y4", "fb =~ y1 + y2 + y3 + y4\ny2 ~~ 0*y2")),
  outcome_of_rows = list(data = "demo", text = levels("y1 ~ x1\nx2 ~ y1 + x3", "y1 ~ w1")),
  latent_mean = list(data = "demo", text = levels(
    "fw =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3\ny1 ~ 0*1\nfb ~ 1\nfb ~ w1")),
  unit_variance = list(data = "demo", text = levels("fw =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3"), std.lv = TRUE),
  context = list(data = "unbalanced", text = levels(
    "a ~ bw*pay + tenure\nb ~ a", "a ~ bb*pay + climate\nb ~ a\ncontext := bb - bw")),
  constrained = list(data = "unbalanced", text = paste0(levels(
    "f =~ a + l2*b + l3*c\nf ~ tenure", "g =~ a + k2*b + k3*c\ng ~ climate\nprofit ~ g"), "\nl2 == k2\nl3 == k3")),
  factor_balanced = list(data = "balanced", text = factor),
  factor_unbalanced = list(data = "unbalanced", text = factor),
  factor_singles = list(data = "singles", text = factor),
  chain_singles = list(data = "singles", text = levels("b ~ a\na ~ tenure", "b ~ a\na ~ climate\nprofit ~ b"))
)

# --- fits ------------------------------------------------------------------------------------------------------

saturated <- function(names) {
  pairs <- outer(names, names, function(a, b) paste(a, "~~", b))
  paste(pairs[lower.tri(pairs, diag = TRUE)], collapse = "\n")
}

theta_of <- function(fit) {
  table <- parTable(fit)
  table$est[table$free > 0][order(table$free[table$free > 0])]
}

# Evaluate at `theta` without optimising; covariates stay at the moments in `ustart`.
at <- function(job, table, theta, ...) {
  table$ustart[table$free > 0] <- theta[table$free[table$free > 0]]
  table$est <- table$se <- table$start <- NULL
  suppressWarnings(lavaan(table, everything[[job$data]], cluster = clusters[[job$data]], optim.method = "none",
                          baseline = FALSE, h1 = FALSE, fixed.x = !isFALSE(job$fixed.x), ...))
}

slope <- function(fit) {
  drop(lavaan:::lav_model_gradient(fit@Model, lavsamplestats = fit@SampleStats, lavdata = fit@Data, lavcache = fit@Cache))
}

# Free moments of both levels, from where lavaan's EM stopped; these themselves where the best have no full rank.
freely <- function(job, first) {
  names <- first@Data@ov.names.l[[1]]
  text <- levels(saturated(names[[1]]), saturated(names[[2]]))
  job <- list(data = job$data, fixed.x = FALSE)
  table <- parTable(start(job, text, fixed.x = FALSE, baseline = FALSE, h1 = FALSE, optim.method = "none"))
  known <- first@h1$implied
  value <- function(i) {
    level <- table$level[i]
    at <- match(c(table$lhs[i], table$rhs[i]), names[[level]])
    if (table$op[i] == "~1") known$mean[[level]][at[1]] else known$cov[[level]][at[1], at[2]]
  }
  fit <- try(tightly(job, sapply(which(table$free > 0), value), table), silent = TRUE)
  proper <- !inherits(fit, "try-error") && min(eigen(lavInspect(fit, "implied")[[2]]$cov)$values) > 0
  if (!proper) {
    moments <- lapply(1:2, function(level) list(
      cov = structure(known$cov[[level]], dimnames = list(names[[level]], names[[level]])),
      mean = structure(drop(known$mean[[level]]), names = names[[level]])
    ))
    return(list(implied = moments, logl = fitMeasures(first, "unrestricted.logl")[[1]], proper = FALSE))
  }
  list(implied = lavInspect(fit, "implied"), logl = as.numeric(logLik(fit)), proper = TRUE)
}

# lavaan stops some 1e-4 short of the optimum. Newton steps with its own gradient and information bring it there.
tightly <- function(job, theta, table) {
  fit <- at(job, table, theta)
  for (round in 1:40) {
    move <- -drop(lavInspect(fit, "nobs") * unclass(vcov(fit)) %*% slope(fit))
    if (max(abs(move)) < 1e-9) break
    fit <- at(job, table, theta_of(fit) + move)
  }
  fit
}

start <- function(job, text, ...) {
  suppressWarnings(sem(text, everything[[job$data]], cluster = clusters[[job$data]], ...))
}

run <- function(name) {
  job <- jobs[[name]]
  options <- list(fixed.x = !isFALSE(job$fixed.x), std.lv = isTRUE(job$std.lv))
  first <- do.call(start, c(list(job, job$text), options))
  stopifnot(lavInspect(first, "converged"))
  free <- freely(job, first)
  table <- parTable(first)
  held <- which(table$exo == 1)
  for (i in held) {
    moments <- free$implied[[table$level[i]]]
    table$ustart[i] <- if (table$op[i] == "~1") moments$mean[[table$lhs[i]]] else moments$cov[table$lhs[i], table$rhs[i]]
  }
  fit <- tightly(job, theta_of(first), table)
  theta <- theta_of(fit)
  rows <- parameterEstimates(fit, remove.nonfree = FALSE)[c("lhs", "op", "rhs", "est", "se")]
  rows$level <- parTable(fit)$level[!parTable(fit)$op %in% c("==", "<", ">")]
  rows$se_expected <- parameterEstimates(at(job, table, theta, information = "expected"))$se
  rows$se_robust <- parameterEstimates(at(job, table, theta, se = "robust.huber.white"))$se
  rows$std_all <- standardizedSolution(fit)$est.std
  robust <- do.call(start, c(list(job, job$text, estimator = "MLR"), options))
  given <- fit@SampleStats@YLp[[1]][[2]]$loglik.x
  if (!options$fixed.x) given <- 0
  logl <- as.numeric(logLik(fit))
  # EM gives the likelihood of everything but the covariates already
  unrestricted <- if (free$proper) free$logl - given else free$logl
  cat(sprintf("%-20s logl %.6f unrestricted %.6f df %d step %.1e\n", name, logl, unrestricted,
              as.integer(fitMeasures(first, "df")), max(abs(lavInspect(fit, "nobs") * unclass(vcov(fit)) %*% slope(fit)))))
  list(
    data = job$data, text = job$text, fixed_x = options$fixed.x, std_lv = options$std.lv, rows = rows, logl = logl,
    unrestricted_logl = unrestricted, proper = free$proper, chisq = 2 * (unrestricted - logl),
    measures = as.list(unclass(fitMeasures(first))), robust = as.list(unclass(fitMeasures(robust))),
    r_square = lapply(lavInspect(fit, "rsquare"), as.list), icc = as.list(lavInspect(first, "icc"))
  )
}

results <- lapply(setNames(names(jobs), names(jobs)), run)
path <- if (dir.exists("tests/reference")) "tests/reference" else "."
demo <- facts(lavaans, "cluster", c("y1", "y2", "y3", "y4", "y5", "y6", "x1", "x2", "x3"), c("w1", "w2"))
write_json(
  list(lavaan = as.character(packageVersion("lavaan")), R = R.version.string, data = c(datasets, list(demo = demo)),
       models = results),
  file.path(path, "lavaan_twolevel_models.json"), dataframe = "columns", auto_unbox = TRUE, digits = 12
)
