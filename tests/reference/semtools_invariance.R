# Writes semtools_invariance.json: semTools' models of measurement invariance for ordered items (measEq.syntax with
# ID.cat = "Wu.Estabrook.2016") as lavaan fits them, and lavaan's of second-order factors. The rows of the ordered items
# are those of lavaan_ordinal.json, the others those of lavaan_invariance.json.
# Run from the root of the repository or from this folder:  Rscript tests/reference/semtools_invariance.R
suppressPackageStartupMessages({
  library(lavaan)
  library(semTools)
  library(jsonlite)
})
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
given <- fromJSON(file.path(here, "lavaan_ordinal.json"))$data
schools <- as.data.frame(fromJSON(file.path(here, "lavaan_invariance.json"))$frames$hs)
three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
items <- paste0("x", 1:9)
steps <- list(configural = character(0), thresholds = "thresholds", metric = c("thresholds", "loadings"),
              scalar = c("thresholds", "loadings", "intercepts"),
              strict = c("thresholds", "loadings", "intercepts", "residuals"))

measured <- function(fits) {
  found <- lapply(fits, function(fit) {
    m <- fitMeasures(fit)
    as.list(m[intersect(c("npar", "chisq", "df", "chisq.scaled", "cfi", "rmsea", "cfi.scaled", "rmsea.scaled"), names(m))])
  })
  lapply(found, lapply, unbox)
}
differences <- function(fits) {
  lapply(seq_along(fits)[-1], function(at) {
    test <- as.data.frame(lavTestLRT(fits[[at - 1]], fits[[at]]))
    list(chisq = unbox(test[2, grep("diff$", names(test))[1]]), df = unbox(test[2, "Df diff"]))
  })
}
means <- function(fit) {
  table <- parameterEstimates(fit)
  table <- table[table$op == "~1" & table$group == 2 & table$lhs %in% lavNames(fit, "lv") & table$se > 0, ]
  table[c("lhs", "est", "se")]
}
ordinal <- function(data, ordered, way) {
  rows <- as.data.frame(given[[data]])
  fits <- lapply(if (way == "theta") steps else steps[1:4], function(equal) {
    syntax <- measEq.syntax(three, data = rows, group = "school", ordered = ordered, parameterization = way,
                            ID.fac = "std.lv", ID.cat = "Wu.Estabrook.2016", group.equal = equal)
    cfa(as.character(syntax), rows, group = "school", ordered = ordered, parameterization = way)
  })
  cat(data, way, "\n")
  list(data = unbox(data), ordered = ordered, parameterization = unbox(way), steps = measured(fits),
       difference = differences(fits), means = means(fits$scalar))
}
cases <- list(
  four = ordinal("hs4", items, "delta"), many = ordinal("hs_many", items, "delta"),
  mixed = ordinal("hs_mixed", items[1:6], "delta"), four_theta = ordinal("hs4", items, "theta"),
  many_theta = ordinal("hs_many", items, "theta"), mixed_theta = ordinal("hs_mixed", items[1:6], "theta")
)

# --- factors of factors: the means of the first order go free with the intercepts of the items, that of the second with
# --- theirs

zero <- "visual ~ c(0, 0)*1\ntextual ~ c(0, 0)*1\nspeed ~ c(0, 0)*1\n"
second <- paste0(three, "general =~ visual + textual + speed\n")
higher <- c("general=~textual", "general=~speed")
fit2 <- function(model, ...) cfa(model, schools, group = "school", ...)
fits <- list(
  configural = fit2(second), metric = fit2(second, group.equal = "loadings", group.partial = higher),
  "metric, higher" = fit2(second, group.equal = "loadings"),
  scalar = fit2(paste0(second, "general ~ c(0, 0)*1\n"), group.equal = c("loadings", "intercepts")),
  "scalar, higher" = fit2(paste0(second, zero), group.equal = c("loadings", "intercepts")),
  strict = fit2(paste0(second, zero), group.equal = c("loadings", "intercepts", "residuals"))
)
cases$second <- list(steps = measured(fits), difference = differences(fits), means = means(fits[["scalar, higher"]]))
version <- c(lavaan = packageVersion("lavaan"), semTools = packageVersion("semTools"))
result <- list(versions = lapply(version, function(v) unbox(as.character(v))), cases = cases)
write(toJSON(result, digits = 10, na = "null"), file.path(here, "semtools_invariance.json"))
