# Writes lavaan_invariance.json: measurement invariance step by step, as lavaan has it: configural, metric, scalar and
# strict models of several groups, their difference tests, the score tests of their equalities, latent means,
# modification indices, and semTools' reliability in each group.
# Holzinger and Swineford's rows are those of lavaan_fiml.json; of other data sets only moments are written.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_invariance.R
suppressPackageStartupMessages({
  library(lavaan)
  library(semTools)

  library(jsonlite)
})
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))

hs <- HolzingerSwineford1939[c(paste0("x", 1:9), "school")]
hs[1:9] <- round(hs[1:9], 4)
hs$school <- as.character(hs$school)
set.seed(20261123)
hs_holes <- hs
for (k in 2:9) hs_holes[runif(301) < 1 / (1 + exp(1.6 - 0.8 * (hs$x1 - 4.9))), paste0("x", k)] <- NA

personality <- na.omit(psych::bfi[c(paste0("A", 2:5), paste0("E", 1:5), paste0("C", 1:3), "gender")])
personality$gender <- as.character(personality$gender)
burns <- FacialBurns
burns$Sex <- as.character(burns$Sex)

# Ordered items of two groups that differ in one loading and one threshold.
n <- 500
ordered_rows <- do.call(rbind, lapply(1:2, function(g) {
  a <- rnorm(n, 0.3 * (g - 1), c(1, 1.2)[g])
  b <- 0.5 * a + rnorm(n, 0, 0.9)
  loading <- c(0.8, 0.7, c(0.6, 0.9)[g], 0.75, 0.8, 0.7, 0.65, 0.8)
  answers <- sapply(1:8, function(k) {
    y <- loading[k] * (if (k < 5) a else b) + rnorm(n, 0, sqrt(1 - loading[k]^2 * 0.6))
    cuts <- c(-1, 0, 0.9)
    if (k == 6 && g == 2) cuts[2] <- 0.4
    findInterval(y, cuts) + 1
  })
  data.frame(answers, group = c("one", "two")[g])
}))
names(ordered_rows)[1:8] <- paste0("i", 1:8)

frames <- list(hs = hs, hs_holes = hs_holes, bfi = personality, burns = burns, ordered = ordered_rows)
three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9"
big <- "agree =~ A2 + A3 + A4 + A5\nextra =~ E1 + E2 + E3 + E4 + E5\nwork =~ C1 + C2 + C3"
faces <- "self =~ Selfesteem + HADS + RUM"
two <- "a =~ i1 + i2 + i3 + i4\nb =~ i5 + i6 + i7 + i8"

ladder <- list(
  configural = character(), metric = "loadings", scalar = c("loadings", "intercepts"),
  strict = c("loadings", "intercepts", "residuals")
)
ladder_ordered <- list(
  configural = character(), thresholds = "thresholds", metric = c("thresholds", "loadings")
)

# --- fits ------------------------------------------------------------------------------------------------------

fitted <- function(model, data, group, equal, options, partial = character()) {
  more <- options
  if (identical(options$missing, "ml")) more <- c(more, list(em.h1.tol = 1e-10))
  fit <- do.call("cfa", c(
    list(model = model, data = frames[[data]], group = group, group.equal = if (length(equal)) equal else "",
         group.partial = if (length(partial)) partial else ""), more
  ))
  stopifnot(lavInspect(fit, "converged"))
  fit
}

wanted <- c("npar", "chisq", "df", "pvalue", "cfi", "tli", "rmsea", "srmr", "aic", "bic", "chisq.scaled", "cfi.scaled",
            "rmsea.scaled", "cfi.robust", "rmsea.robust")
plain <- function(values) lapply(as.list(unclass(values)), unbox)

released <- function(fit) {
  found <- suppressWarnings(try(lavTestScore(fit), silent = TRUE))
  if (inherits(found, "try-error")) return(NULL)
  table <- parTable(fit)
  word <- function(plabel) vapply(plabel, function(p) {
    row <- table[table$plabel == p, ]
    paste0(row$lhs, row$op, row$rhs, if (row$group > 1) paste0(".g", row$group) else "")
  }, "")
  uni <- as.data.frame(unclass(found$uni))
  list(x2 = unbox(found$test$X2), df = unbox(found$test$df),
       rows = data.frame(lhs = word(uni$lhs), rhs = word(uni$rhs), x2 = uni$X2))
}

case <- function(name, model, data, group, steps = ladder, partial = character(), rows = FALSE, moments = FALSE, ...) {
  options <- list(...)
  frame <- frames[[data]]
  fits <- lapply(steps, function(equal) fitted(model, data, group, equal, options, partial))
  table <- suppressWarnings(do.call("lavTestLRT", unname(fits)))
  cat(sprintf("%-14s %s\n", name, paste(sprintf("%.3f", table[["Chisq diff"]]), collapse = " ")))
  means <- parameterEstimates(fits$scalar %||% fits$metric)
  latents <- lavNames(fits[[1]], "lv")
  means <- means[means$op == "~1" & means$lhs %in% latents & means$group > 1, c("lhs", "group", "est", "se")]
  names(options) <- gsub(".", "_", names(options), fixed = TRUE)
  observed <- lavNames(fits[[1]], "ov")
  labels <- lavInspect(fits[[1]], "group.label")
  list(
    name = unbox(name), model = unbox(model), data = unbox(data), group = unbox(group), options = options,
    partial = partial, groups = labels,
    moments = if (moments) lapply(labels, function(g) {
      own <- frame[frame[[group]] == g, observed]
      list(n = unbox(nrow(own)), names = observed, covariance = unname(cov(own)), means = unname(colMeans(own)))
    }),
    steps = Map(function(fit, name) list(
      name = unbox(name), measures = plain(fitMeasures(fit)[intersect(wanted, names(fitMeasures(fit)))]),
      scores = released(fit)
    ), unname(fits), names(fits)),
    difference = list(chisq = table[["Chisq diff"]][-1], df = table[["Df diff"]][-1], p = table[["Pr(>Chisq)"]][-1]),
    means = means
  )
}
`%||%` <- function(a, b) if (is.null(a)) b else a

indices <- function() {
  fit <- fitted(three, "hs", "school", c("loadings", "intercepts"), list())
  table <- as.data.frame(unclass(modificationIndices(fit, sort. = FALSE)))
  table <- table[table$op != "==" & !is.na(table$mi), ]
  table[c("lhs", "op", "rhs", "group", "mi", "epc", "sepc.all")]
}
reliable <- function() {
  fit <- fitted(three, "hs", "school", "loadings", list())
  list(
    omega = as.data.frame(suppressMessages(compRelSEM(fit))),
    ave = as.data.frame(AVE(fit))
  )
}

cases <- list(
  case("hs", three, "hs", "school"),
  case("hs_partial", three, "hs", "school", partial = c("x3~1", "x7~1")),
  case("hs_mlr", three, "hs", "school", estimator = "MLR"),
  case("hs_std_lv", three, "hs", "school", std.lv = TRUE),
  case("hs_fiml", three, "hs_holes", "school", missing = "ml"),
  case("hs_fiml_mlr", three, "hs_holes", "school", missing = "ml", estimator = "MLR"),
  case("bfi", big, "bfi", "gender", moments = TRUE),
  case("burns", faces, "burns", "Sex", moments = TRUE),
  case("ordered", two, "ordered", "group", steps = ladder_ordered, ordered = paste0("i", 1:8))
)
columns <- function(frame) list(names = names(frame), rows = lapply(seq_len(nrow(frame)), function(i) unname(as.list(frame[i, ]))))
stored <- lapply(frames[c("hs", "hs_holes", "ordered")], function(f) as.list(f))
write_json(
  list(
    lavaan = unbox(as.character(packageVersion("lavaan"))), R = unbox(R.version.string), frames = stored, cases = cases,
    modification = indices(), reliability = reliable()
  ),
  file.path(here, "lavaan_invariance.json"), digits = NA, na = "null", null = "null"
)
