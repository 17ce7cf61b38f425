# Writes lavaan_ordinal_scores.json: lavaan's factor scores of ordered items (posterior modes, and modes of the
# likelihood) for the first rows of some models of lavaan_ordinal.json, whose data these are.
# It scores later groups by the loadings of the first, so that groups that share nothing are fitted one by one here.
# Its search for each row stops at a relative change of 1e-8, some 1e-5 to 1e-3 short of the mode.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_ordinal_scores.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
given <- fromJSON(file.path(here, "lavaan_ordinal.json"))
many <- 25

# lavPredict(newdata =) wants every category among the rows, so its search is called on the first rows themselves
some <- function(parts) lapply(parts, function(rows) if (is.null(rows)) NULL else rows[seq_len(many), , drop = FALSE])
alone <- function(model, data, ordered, options) {
  fit <- do.call("sem", c(list(model = model, data = data, ordered = ordered), options))
  found <- lapply(c(regression = FALSE, bartlett = TRUE), function(ml) {
    lavaan:::lav_predict_eta_ebm_ml(lavobject = fit, data.obs = some(fit@Data@X), eXo = some(fit@Data@eXo), ML = ml)[[1]]
  })
  c(list(latents = lavNames(fit, "lv"), rows = head(lavInspect(fit, "case.idx"), many)), found)
}
scores <- function(name) {
  one <- given$models[[name]]
  data <- as.data.frame(given$data[[one$data]])
  ordered <- Filter(function(item) item %in% names(data) && grepl(item, one$model), one$ordered)
  group <- one$options$group
  whole <- if (is.null(group)) list(seq_len(nrow(data))) else split(seq_len(nrow(data)), data[[group]])
  options <- one$options[setdiff(names(one$options), "group")]
  parts <- lapply(whole, function(rows) {
    found <- alone(one$model, data[rows, ], ordered, options)
    found$rows <- rows[found$rows] - 1L
    found
  })
  cat(sprintf("%-16s %d tables\n", name, length(parts)))
  list(latents = parts[[1]]$latents, rows = unlist(lapply(parts, `[[`, "rows"), use.names = FALSE),
       regression = do.call(rbind, lapply(unname(parts), `[[`, "regression")),
       bartlett = do.call(rbind, lapply(unname(parts), `[[`, "bartlett")))
}

names <- c("many", "mixed", "regressions", "second_order", "rare", "covariates", "mixed_missing", "groups")
result <- list(lavaan = unbox(as.character(packageVersion("lavaan"))), models = sapply(names, scores, simplify = FALSE))
write(toJSON(result, digits = 9, na = "null"), file.path(here, "lavaan_ordinal_scores.json"))
