# Reliability of scales by psych, lavaan and semTools; run from the repository root:
#   Rscript tests/reference/survey_reliability.R
suppressPackageStartupMessages({library(psych); library(lavaan); library(semTools); library(jsonlite)})

factor_model <- function(items) {
  loads <- paste0("f =~ ", paste0("l", seq_along(items), "*", items, collapse = " + "))
  rests <- paste0(items, " ~~ u", seq_along(items), "*", items, collapse = "\n")
  total <- paste0("(", paste0("l", seq_along(items), collapse = "+"), ")^2")
  error <- paste0("(", paste0("u", seq_along(items), collapse = "+"), ")")
  paste(loads, rests, sprintf("omega := %s/(%s+%s)", total, total, error), sep = "\n")
}

omega_row <- function(fit) {
  e <- parameterEstimates(fit)
  e[e$lhs == "omega", c("est", "se")]
}

check <- function(data) {
  data <- na.omit(data)
  items <- colnames(data)
  a <- suppressWarnings(psych::alpha(data, check.keys = FALSE))
  feldt <- psych::alpha.ci(a$total$raw_alpha, n.obs = nrow(data), n.var = ncol(data), p.val = .05)
  fit <- cfa(factor_model(items), data, std.lv = TRUE)
  e <- parameterEstimates(fit)
  list(items = items, n = nrow(data), cov = unname(cov(data)),
       alpha = a$total$raw_alpha, feldt_low = feldt$lower.ci, feldt_high = feldt$upper.ci,
       loadings = e$est[e$op == "=~"], residuals = e$est[e$op == "~~" & e$lhs != "f"],
       omega = omega_row(fit)$est, omega_se = omega_row(fit)$se,
       semtools_implied = as.numeric(compRelSEM(fit, obs.var = FALSE)),
       semtools_observed = as.numeric(compRelSEM(fit, obs.var = TRUE)))
}

data(bfi, package = "psych")
reverse <- c("A1", "C4", "C5", "E1", "E2", "O2", "O5")
bfi[reverse] <- 7 - bfi[reverse]
scales <- list(agree = paste0("A", 1:5), conscientious = paste0("C", 1:5), extraversion = paste0("E", 1:5),
               neuroticism = paste0("N", 1:5), openness = paste0("O", 1:5))
out <- list(bfi = lapply(scales, function(i) check(bfi[i])))
psych_uniqueness <- function(i) unname(fa(na.omit(bfi[i]), nfactors = 1, fm = "ml")$uniquenesses)
for (s in names(scales)) out$bfi[[s]]$psych_uniqueness <- psych_uniqueness(scales[[s]])

hs <- HolzingerSwineford1939
out$holzinger <- list(visual = check(hs[paste0("x", 1:3)]), textual = check(hs[paste0("x", 4:6)]),
                      speed = check(hs[paste0("x", 7:9)]), all_nine = check(hs[paste0("x", 1:9)]))

# Five-point answers with unequal loadings and skew, so that robust and normal-theory errors differ.
set.seed(20)
n <- 180
f <- rnorm(n)
loads <- c(.9, .8, .6, .5, .7)
likert <- sapply(loads, function(l) as.integer(cut(l * f + sqrt(1 - l^2) * rnorm(n), c(-Inf, -2, -1.3, -.6, .4, Inf))))
colnames(likert) <- paste0("q", 1:5)
likert <- as.data.frame(likert)
simulated <- check(likert)
simulated$rows <- unname(as.matrix(likert))
simulated$omega_se_mlm <- omega_row(cfa(factor_model(colnames(likert)), likert, std.lv = TRUE, estimator = "MLM"))$se
out$simulated <- simulated
out$versions <- list(R = R.version.string, psych = as.character(packageVersion("psych")),
                     lavaan = as.character(packageVersion("lavaan")), semTools = as.character(packageVersion("semTools")))
folder <- if (dir.exists("tests/reference")) "tests/reference" else "."
write_json(out, file.path(folder, "survey_reliability.json"), digits = 12, auto_unbox = TRUE)
