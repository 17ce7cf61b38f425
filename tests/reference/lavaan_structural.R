# Writes lavaan_structural.json: chi-squares of models and of their measurement alone, and the difference test, for fits
# that are not plain maximum likelihood of one group. Rows are those of lavaan_invariance.json and lavaan_ordinal.json.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_structural.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
read <- function(name) fromJSON(file.path(here, name))
frames <- lapply(c(read("lavaan_invariance.json")$frames[c("hs", "hs_holes")],
                   read("lavaan_ordinal.json")$data["hs4"]), as.data.frame)
three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
links <- "textual ~ visual\nspeed ~ textual\n"
given <- "textual ~ visual + age\nspeed ~ textual\nvisual ~ boy\n"
free <- "visual ~ age + boy\ntextual ~ age + boy\nspeed ~ age + boy\nvisual ~~ textual + speed\ntextual ~~ speed\n"
items <- paste0("x", 1:9)

case <- function(data, structure = links, measurement = "", ...) {
  whole <- sem(paste0(three, structure), frames[[data]], ...)
  rest <- sem(paste0(three, measurement), frames[[data]], ...)
  test <- lavTestLRT(rest, whole)
  m <- lapply(list(whole, rest), fitMeasures)
  statistic <- if ("chisq.scaled" %in% names(m[[1]])) "chisq.scaled" else "chisq"
  list(data = unbox(data), structure = unbox(structure), options = lapply(list(...), I),
       chisq = c(m[[1]][[statistic]], m[[2]][[statistic]]), df = c(m[[1]][["df"]], m[[2]][["df"]]),
       plain = unbox(m[[1]][["chisq"]] - m[[2]][["chisq"]]),
       difference = unbox(test[2, grep("diff$", names(test))[1]]))
}
cases <- list(
  groups = case("hs", group = "school", group.equal = c("loadings", "intercepts")),
  mlr = case("hs", estimator = "MLR"), mlm_groups = case("hs", estimator = "MLM", group = "school"),
  gls = case("hs", estimator = "GLS"), fiml_groups = case("hs_holes", missing = "ml", group = "school"),
  fiml_mlr = case("hs_holes", missing = "ml", estimator = "MLR"), ordered = case("hs4", ordered = items),
  ordered_groups = case("hs4", ordered = items, group = "school", group.equal = c("thresholds", "loadings")),
  ordered_given = case("hs4", given, free, ordered = items)
)
write(toJSON(list(lavaan = unbox(as.character(packageVersion("lavaan"))), cases = cases), digits = 9, na = "null"),
      file.path(here, "lavaan_structural.json"))
