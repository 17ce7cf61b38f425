# Writes lavaan_ordinal_bfi.json: thresholds, polychorics and their covariances of ten items of psych's bfi, answers
# missing in pairs, and what lavaan makes of them. No rows are kept.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_ordinal_bfi.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})
items <- c(paste0("A", 1:5), paste0("C", 1:5))
data(bfi, package = if (requireNamespace("psychTools", quietly = TRUE)) "psychTools" else "psych")
model <- "agree =~ A1 + A2 + A3 + A4 + A5\nconscientious =~ C1 + C2 + C3 + C4 + C5\n"
fit <- cfa(model, bfi[items], ordered = items, estimator = "WLSMV", missing = "pairwise")
rows <- parTable(fit)
found <- fitMeasures(fit)
folder <- if (dir.exists("tests/reference")) "tests/reference" else "."
write_json(
  list(
    lavaan = as.character(packageVersion("lavaan")), model = model, items = items, n = nobs(fit),
    thresholds = fit@SampleStats@th[[1]], correlations = fit@SampleStats@cov[[1]],
    gamma = signif(fit@SampleStats@NACOV[[1]], 12), rows = rows[c("lhs", "op", "rhs", "est", "se")],
    measures = setNames(as.list(as.numeric(found)), gsub(".", "_", names(found), fixed = TRUE))
  ),
  file.path(folder, "lavaan_ordinal_bfi.json"), digits = NA, auto_unbox = TRUE, na = "null"
)
