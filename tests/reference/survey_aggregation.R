# Agreement and reliability of unit scores by multilevel and lme4; run from the repository root:
#   Rscript tests/reference/survey_aggregation.R
suppressPackageStartupMessages({library(multilevel); library(lme4); library(jsonlite)})

intraclass <- function(score, unit) {
  d <- na.omit(data.frame(score, unit = factor(unit)))
  a <- aov(score ~ unit, d)
  s <- summary(a)[[1]]
  m <- lmer(score ~ 1 + (1 | unit), d, REML = TRUE, control = lmerControl(optCtrl = list(xtol_abs = 1e-12, ftol_abs = 1e-14)))
  v <- as.data.frame(VarCorr(m))$vcov
  list(n = nrow(d), units = nlevels(droplevels(d$unit)), icc1 = ICC1(a), icc2 = ICC2(a),
       F = s[1, 4], p = s[1, 5], msb = s[1, 3], msw = s[2, 3],
       reml_between = v[1], reml_within = v[2], reml_mean = unname(fixef(m)), reml_deviance = REMLcrit(m))
}

# 40 units of very different size, four 7-point items, the last one reversed, a few answers missing.
set.seed(7)
sizes <- c(1, 1, 2, 2, 3, sample(3:20, 35, TRUE))
unit <- rep(seq_along(sizes), sizes)
level <- rnorm(40, 0, .45)
person <- level[unit] + rnorm(length(unit), 0, .8)
answers <- sapply(1:4, function(i) pmin(7, pmax(1, round(5 + person + rnorm(length(unit), 0, .9)))))
answers[, 4] <- 8 - answers[, 4]
answers[cbind(sample(length(unit), 15), sample(4, 15, TRUE))] <- NA
items <- as.data.frame(answers)
names(items) <- paste0("i", 1:4)
keyed <- items
keyed$i4 <- 8 - keyed$i4
score <- ifelse(rowSums(!is.na(keyed)) >= 2, rowMeans(keyed, na.rm = TRUE), NA)
variances <- c(uniform = 4, slight = 2.90, moderate = 2.14, heavy = 1.39)
agreement <- lapply(variances, function(v) rwg.j(keyed, unit, ranvar = v)$rwg.j)
small <- list(unit = unit, rows = unname(as.matrix(items)), intraclass = intraclass(score, unit), rwgj = agreement,
              rwg_i1 = rwg(keyed$i1, unit, ranvar = 4)$rwg, ad_mean = ad.m(keyed, unit)$AD.M,
              ad_median = ad.m(keyed, unit, type = "median")$AD.M, gsize = rwg.j(keyed, unit)$gsize)

# The same without differences between units.
set.seed(3)
flat_unit <- rep(1:30, each = 8)
flat <- round(rnorm(240), 3)
none <- list(unit = flat_unit, score = flat, intraclass = intraclass(flat, flat_unit))

data(bh1996); data(lq2002)
stats <- function(d, item, unit) {
  y <- na.omit(data.frame(y = d[[item]], u = d[[unit]]))
  list(n = as.vector(tapply(y$y, y$u, length)), mean = as.vector(tapply(y$y, y$u, mean)),
       ssw = sum((y$y - ave(y$y, y$u))^2))
}
large <- list()
for (item in c("COHES", "LEAD", "HRS", "WBEING")) {
  large[[paste0("bh1996_", item)]] <- c(intraclass(bh1996[[item]], bh1996$GRP), list(summary = stats(bh1996, item, "GRP")))
}
lead <- lq2002[, 3:13]
item_variances <- t(sapply(split(lead, lq2002$COMPID), function(q) apply(q, 2, var)))
large$lq2002 <- c(intraclass(lq2002$LEAD, lq2002$COMPID), list(summary = stats(lq2002, "LEAD", "COMPID"),
  mean_item_variance = unname(rowMeans(item_variances)),
  rwgj_uniform = rwg.j(lead, lq2002$COMPID, ranvar = 2)$rwg.j, rwgj_slight = rwg.j(lead, lq2002$COMPID, ranvar = 1.34)$rwg.j))

out <- list(small = small, none = none, large = large,
            versions = list(R = R.version.string, multilevel = as.character(packageVersion("multilevel")),
                            lme4 = as.character(packageVersion("lme4"))))
folder <- if (dir.exists("tests/reference")) "tests/reference" else "."
write_json(out, file.path(folder, "survey_aggregation.json"), digits = 12, auto_unbox = TRUE, na = "null")
