# Writes semtools_htmt.json: heterotrait-monotrait ratios by semTools of ordered items (polychoric correlations), of
# ordered beside continuous ones, of answers with holes, and in groups, one by one. Rows are those of
# lavaan_invariance.json and lavaan_ordinal.json.
# Also the composite reliability of ordered items in the sum of their answers (Green & Yang).
# Run from the root of the repository or from this folder:  Rscript tests/reference/semtools_htmt.R
suppressPackageStartupMessages({
  library(lavaan)
  library(semTools)
  library(jsonlite)
})
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
read <- function(name) fromJSON(file.path(here, name))
frames <- lapply(c(read("lavaan_invariance.json")$frames["hs_holes"],
                   read("lavaan_ordinal.json")$data[c("hs4", "hs_mixed")]), as.data.frame)
three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
items <- paste0("x", 1:9)
case <- function(data, group = NULL, ...) {
  rows <- frames[[data]]
  parts <- if (is.null(group)) list(rows) else split(rows, rows[[group]])
  ratios <- lapply(unname(parts), function(part) sapply(c(htmt = FALSE, htmt2 = TRUE), function(second) {
    found <- unclass(htmt(three, data = part[items], htmt2 = second, ...))
    found[lower.tri(found)]
  }, simplify = FALSE))
  list(data = unbox(data), groups = I(if (is.null(group)) "1" else names(parts)), ratios = ratios)
}
omega <- function(data, ...) {
  found <- compRelSEM(cfa(three, frames[[data]], ordered = items, ...))
  as.data.frame(as.list(found))
}
result <- list(
  semTools = unbox(as.character(packageVersion("semTools"))),
  cases = list(ordered = case("hs4", ordered = items), mixed = case("hs_mixed", ordered = items[1:6]),
               fiml = case("hs_holes", missing = "fiml"), groups = case("hs4", "school", ordered = items)),
  omega_categorical = list(four = omega("hs4"), groups = omega("hs4", group = "school"))
)
write(toJSON(result, digits = 9), file.path(here, "semtools_htmt.json"))
