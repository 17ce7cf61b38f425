# Random intercepts with covariates by lme4, on data made here. Run from the root: Rscript tests/reference/lme4_slopes.R
suppressMessages({library(lme4); library(jsonlite)})
set.seed(12)
case <- function(groups, sizes, between, slope) {
  g <- rep(seq_len(groups), sizes)
  x <- round(rnorm(groups)[g] + 0.5 * rnorm(length(g)), 3)
  z <- round(rnorm(length(g)), 3)
  y <- round(100 + slope * x - 0.3 * z + sqrt(between) * rnorm(groups)[g] + rnorm(length(g)), 3)
  fit <- lmer(y ~ x + z + (1 | g), REML = TRUE,
              control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-12, maxfun = 1e5),
                                    check.conv.singular = "ignore"))
  v <- as.data.frame(VarCorr(fit))$vcov
  list(g = g, x = x, z = z, y = y, slopes = unname(fixef(fit)[c("x", "z")]),
       errors = unname(sqrt(diag(as.matrix(vcov(fit))))[c(2, 3)]), share = v[1] / sum(v))
}
cases <- list(ordinary = case(30, rpois(30, 8) + 1, 0.5, 0.6), few = case(8, rep(5, 8), 0.3, 0.4),
              none = case(15, rep(6, 15), 0, 0.5), most = case(12, rpois(12, 4) + 2, 9, 0.5))
write_json(cases, "tests/reference/lme4_slopes.json", digits = 12, auto_unbox = TRUE)
