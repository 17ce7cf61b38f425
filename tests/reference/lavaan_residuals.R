# Writes lavaan_residuals.json: lavResiduals of fits that are not plain maximum likelihood of one group: robust, with
# missing answers, by least squares, in groups that share nothing, of ordered items. Rows are those of
# lavaan_invariance.json and lavaan_ordinal.json.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_residuals.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
read <- function(name) fromJSON(file.path(here, name))
frames <- lapply(c(read("lavaan_invariance.json")$frames[c("hs", "hs_holes")],
                   read("lavaan_ordinal.json")$data[c("hs4", "hs_mixed")]), as.data.frame)
three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
items <- paste0("x", 1:9)

case <- function(data, ...) {
  fit <- cfa(three, frames[[data]], ...)
  stopifnot(lavInspect(fit, "converged"))
  groups <- lavInspect(fit, "ngroups")
  plain <- !lavInspect(fit, "categorical") || !length(lavNames(fit, "ov.num"))
  kinds <- c("raw", "cor.bentler", "cor.bollen", if (plain) c("normalized", "standardized"))
  parts <- function(type) {
    found <- lavResiduals(fit, type = type, se = FALSE, zstat = FALSE, summary = FALSE)
    if (groups == 1) list(found) else found
  }
  residuals <- sapply(kinds, function(type) lapply(unname(parts(type)), function(one) {
    lapply(one[intersect(names(one), c("cov", "mean", "th"))], unclass)
  }), simplify = FALSE)
  summary <- if (plain) sapply(c("srmr", "crmr"), function(type) {
    found <- lavaan:::lav_residuals_summary(fit, type = type, se = TRUE, zstat = TRUE, pvalue = TRUE, unbiased = TRUE,
                                            unbiased.se = TRUE, unbiased.ci = TRUE)
    lapply(unname(found), function(one) {
      one <- one[[type]]
      unlist(one[, if ("total" %in% names(one)) "total" else 1], use.names = FALSE)
    })
  }, simplify = FALSE)
  labels <- lavInspect(fit, "group.label")
  list(data = unbox(data), options = lapply(list(...), I), groups = I(if (length(labels)) labels else "1"),
       names = lavNames(fit, "ov"), residuals = residuals, summary = summary)
}
cases <- list(
  mlm = case("hs", estimator = "MLM"), mlr = case("hs", estimator = "MLR"), gls = case("hs", estimator = "GLS"),
  wls = case("hs", estimator = "WLS"), fiml_mlr = case("hs_holes", missing = "ml", estimator = "MLR"),
  groups = case("hs", group = "school"), groups_mlr = case("hs", group = "school", estimator = "MLR"),
  ordered = case("hs4", ordered = items), ordered_groups = case("hs4", ordered = items, group = "school"),
  mixed = case("hs_mixed", ordered = items[1:6])
)
write(toJSON(list(lavaan = unbox(as.character(packageVersion("lavaan"))), cases = cases), digits = 9, na = "null"),
      file.path(here, "lavaan_residuals.json"))
