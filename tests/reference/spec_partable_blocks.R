# Writes spec_partable_blocks.json beside this file: lavaan's parameter tables of models with groups, ordered items and
# levels. Run from the repository root or from this folder: Rscript tests/reference/spec_partable_blocks.R
suppressMessages({library(lavaan); library(jsonlite)})

here <- if (dir.exists("tests/reference")) "tests/reference" else "."

case <- function(name, text, groups = character(), equal = character(), partial = character(), ordered = list(),
                 std_lv = FALSE, orthogonal = FALSE, fixed_x = TRUE, growth = FALSE)
  list(name = name, text = text, groups = I(groups), group_equal = I(equal), group_partial = I(partial),
       ordered = ordered, std_lv = std_lv, orthogonal = orthogonal, fixed_x = fixed_x, growth = growth)

two <- c("north", "south")
three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9"
one <- "f =~ x1 + x2 + x3"
four <- "f =~ u1 + u2 + u3 + u4"
cats <- function(names, n) as.list(setNames(rep(n, length.out = length(names)), names))
u4 <- cats(paste0("u", 1:4), 4)
everything <- c("loadings", "intercepts", "means", "thresholds", "regressions", "residuals", "residual.covariances",
                "lv.variances", "lv.covariances")
chain <- "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\ng ~ f + z\ny ~ g + w\nx1 ~~ x4"
levels <- function(within, between) paste0("level: 1\n", within, "\nlevel: 2\n", between)
curve <- "i =~ 1*t1 + 1*t2 + 1*t3\ns =~ 0*t1 + 1*t2 + 2*t3"

cases <- list(
  case("configural", three, two),
  case("metric", three, two, "loadings"),
  case("scalar", three, two, c("loadings", "intercepts")),
  case("strict", three, two, c("loadings", "intercepts", "residuals")),
  case("means_too", three, two, c("loadings", "intercepts", "means")),
  case("intercepts_alone", one, two, "intercepts"),
  case("everything", chain, two, everything),
  case("everything_four_groups", chain, c("a", "b", "c", "d"), everything),
  case("structural_words", chain, two, c("regressions", "lv.variances", "lv.covariances", "residual.covariances")),
  case("everything_free_x", chain, two, everything, fixed_x = FALSE),
  case("partial", three, two, c("loadings", "intercepts"), c("visual=~x2", "x3~1", "x7~1")),
  case("partial_residuals", one, c("a", "b", "c"), c("loadings", "intercepts", "residuals"), c("x2~~x2")),
  case("std_lv_metric", three, two, "loadings", std_lv = TRUE),
  case("std_lv_scalar_partial", three, two, c("loadings", "intercepts"), "speed=~x9", std_lv = TRUE),
  case("std_lv_variances", three, two, c("loadings", "lv.variances"), std_lv = TRUE),
  case("orthogonal_groups", three, two, "loadings", orthogonal = TRUE),
  case("fixed_and_free", "f =~ x1 + c(1, NA)*x2 + c(0.5, 0.7)*x3 + x4", two),
  case("two_labels", "f =~ x1 + c(\"a\", \"b\")*x2 + c(p, q)*x3 + x4\nx1 ~ c(m, m)*1", two),
  case("three_labels", "y ~ c(a, b, a)*x + c(k, k, l)*z", c("a", "b", "c")),
  case("starts", "f =~ x1 + start(c(0.5, 0.9))*x2 + start(0.7)*x3", two),
  case("bounds", "f =~ x1 + lower(c(0, 0.1))*x2 + upper(2)*x3", two),
  case("label_functions", "f =~ x1 + label(c(\"a\", NA))*x2 + x3", two),
  case("one_label", "f =~ x1 + a*x2 + a*x3\nx1 ~~ v*x1", two),
  case("one_label_beside_equal", "f =~ x1 + a*x2 + x3\nf ~~ v*f", two, "loadings"),
  case("labels_beat_equal", "f =~ x1 + c(a, b)*x2 + x3", two, "loadings"),
  case("free_marker_in_one", "f =~ c(NA, 1)*x1 + x2 + x3\nf ~~ c(1, NA)*f", two),
  case("means_given", "f =~ x1 + x2 + x3\nf ~ c(0, NA)*1", two, c("loadings", "intercepts")),
  case("means_fixed", "f =~ x1 + x2 + x3\nf ~ 0*1", two, c("loadings", "intercepts")),
  case("growth_groups", curve, two, growth = TRUE),
  case("growth_equal", paste0(curve, "\ni + s ~ x"), two, c("loadings", "intercepts", "regressions"), growth = TRUE),
  case("second_order_scalar", paste0(three, "\ng =~ visual + textual + speed"), two, c("loadings", "intercepts")),
  case("fixed_in_all_by_one", "f =~ x1 + c(1, NA)*x2 + x3", two, "loadings"),
  case("group_blocks", "group: 1\nf =~ x1 + x2 + x3\ngroup: 2\nf =~ x1 + NA*x2 + x3\nx1 ~~ x2", c("1", "2")),
  case("group_blocks_metric", "group: 1\nf =~ x1 + a*x2 + x3\ngroup: 2\nf =~ x1 + x2 + x3 + x4", c("1", "2"), "loadings"),

  case("ordered", four, ordered = u4),
  case("ordered_unlike", four, ordered = cats(paste0("u", 1:4), c(2, 3, 4, 5))),
  case("ordered_std_lv", four, ordered = u4, std_lv = TRUE),
  case("ordered_and_continuous", "f =~ x1 + u1 + u2 + x2\nx1 ~~ u1", ordered = cats(c("u1", "u2"), 3)),
  case("ordered_path", "u ~ x + m\nm ~ x", ordered = list(u = 3)),
  case("ordered_outcomes", "f =~ x1 + x2 + x3\nu + v ~ f + z", ordered = list(u = 2, v = 5)),
  case("ordered_mimic", paste0(four, "\nf ~ age + sex\nu1 ~ sex"), ordered = u4),
  case("ordered_mimic_free_x", paste0(four, "\nf ~ age"), ordered = u4, fixed_x = FALSE),
  case("ordered_covariances", "u1 ~~ u2 + x\nu2 ~~ x", ordered = cats(c("u1", "u2"), 3)),
  case("ordered_second_order", "f =~ u1 + u2\ng =~ u3 + u4\nh =~ f + g", ordered = u4),
  case("ordered_covariate", "y ~ u + x", ordered = list(u = 3)),
  case("threshold_modifiers", paste0(four, "\nu1 | a*t1 + 0.5*t2 + start(1)*t3\nu2 | a*t1"), ordered = u4),
  case("thresholds_written", paste0(four, "\nu1 | t1 + t2\nu2 | t1 + t2\nu3 | t1 + t2\nu4 | t1 + t2"),
       ordered = cats(paste0("u", 1:4), 3)),
  case("scales_written", paste0(four, "\nu1 ~*~ 1*u1\nu2 ~*~ NA*u2"), ordered = u4),
  case("ordered_groups", four, two, ordered = u4),
  case("ordered_thresholds", four, two, "thresholds", ordered = u4),
  case("ordered_loadings", four, two, "loadings", ordered = u4),
  case("ordered_scalar", four, two, c("loadings", "thresholds"), ordered = u4),
  case("ordered_scalar_three", four, c("a", "b", "c"), c("loadings", "thresholds"), ordered = u4),
  case("ordered_scalar_std_lv", four, two, c("loadings", "thresholds"), ordered = u4, std_lv = TRUE),
  case("ordered_partial", four, two, c("loadings", "thresholds"), c("u1|t1", "f=~u4"), ordered = u4),
  case("ordered_mixed_scalar", "f =~ x1 + u1 + u2 + x2", two, c("loadings", "thresholds", "intercepts"),
       ordered = cats(c("u1", "u2"), 2)),
  case("ordered_scalar_means", four, two, c("loadings", "thresholds", "means"), ordered = u4),
  case("ordered_group_values", paste0(four, "\nu1 | c(a, a)*t1 + c(b, c)*t2\nu1 ~*~ c(1, NA)*u1\nf ~ c(0, NA)*1"), two,
       ordered = u4),
  case("ordered_scales_given", paste0(four, "\nu1 ~*~ c(1, 1)*u1"), two, "thresholds", ordered = u4),
  case("ordered_mimic_groups", paste0(four, "\nf ~ age"), two, c("loadings", "thresholds", "regressions"), ordered = u4),
  case("ordered_residual_covariance", paste0(four, "\nu1 ~~ u2"), two, c("thresholds", "residual.covariances"),
       ordered = u4),

  case("levels", levels("fw =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3")),
  case("levels_covariates", levels("fw =~ y1 + y2 + y3\nfw ~ x1 + x2", "fb =~ y1 + y2 + y3\nfb ~ w1 + w2")),
  case("levels_covariate_at_both", levels("y ~ x1 + x2", "y ~ x1 + w1")),
  case("levels_free_x", levels("y ~ x1 + x2", "y ~ x1 + w1"), fixed_x = FALSE),
  case("levels_one_name", levels("f =~ y1 + y2 + y3", "f =~ y1 + y2 + y3")),
  case("levels_std_lv", levels("fw =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3"), std_lv = TRUE),
  case("levels_words", "level: within\nfw =~ y1 + y2 + y3\nlevel: between\nfb =~ y1 + y2 + y3"),
  case("levels_equal_loadings", levels("fw =~ y1 + a*y2 + b*y3", "fb =~ y1 + a*y2 + b*y3")),
  case("levels_saturated", levels("fw =~ y1 + y2 + y3\nv ~ fw", "y1 ~~ y2 + y3\ny2 ~~ y3")),
  case("levels_only_within", levels("fw =~ y1 + y2 + y3\nv ~ fw + x", "fb =~ y1 + y2 + y3")),
  case("levels_only_between", levels("fw =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3\nz ~ fb + w\nfb ~ w")),
  case("levels_intercepts", levels("y1 ~ x\ny1 ~ 1", "y1 ~ 1 + w")),
  case("levels_intercept_given", levels("fw =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3\ny1 ~ 0*1\nfb ~ 1\ny2 ~ 2*1")),
  case("levels_no_residual", levels("fw =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3\ny1 ~~ 0*y1\ny2 ~~ 0*y2\ny3 ~~ 0*y3")),
  case("levels_three_factors", levels(three, "b =~ x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9")),
  case("levels_outcomes", levels("m ~ x\ny1 ~ m\ny2 ~ m", "m ~ w\ny1 ~ m\ny2 ~ m")),
  case("levels_of_groups", paste(
    "group: 1", levels("fw =~ y1 + a*y2 + y3\nfw ~ x", "fb =~ y1 + y2 + y3\nfb ~ w"),
    "group: 2", levels("fw =~ y1 + a*y2 + y3\nfw ~ x", "fb =~ y1 + y2 + y3\nfb ~ w"), sep = "\n"), c("1", "2")),
  case("levels_of_groups_metric", paste(
    "group: 1", levels("fw =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3"),
    "group: 2", levels("fw =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3"), sep = "\n"), c("1", "2"), "loadings")
)

has_means <- function(case, counts)
  case$growth || length(case$groups) > 0 || length(counts) > 0 || grepl("level:", case$text, fixed = TRUE)

table <- function(case) {
  counts <- if (length(case$ordered)) unlist(case$ordered) - 1L else integer()
  exogenous <- lavNames(lavParseModelString(case$text), "ov.x")
  counts <- counts[setdiff(names(counts), exogenous)]
  found <- suppressWarnings(lavaanify(
    case$text, meanstructure = has_means(case, counts), int.ov.free = !case$growth, int.lv.free = case$growth,
    model.type = if (case$growth) "growth" else "sem", std.lv = case$std_lv, orthogonal = case$orthogonal,
    fixed.x = case$fixed_x, conditional.x = length(counts) > 0 && length(exogenous) > 0 && case$fixed_x,
    ceq.simple = TRUE, auto.fix.first = !case$std_lv, auto.fix.single = TRUE, auto.var = TRUE, auto.cov.lv.x = TRUE,
    auto.cov.y = TRUE, auto.th = TRUE, auto.delta = TRUE, ngroups = max(1L, length(case$groups)),
    nthresholds = if (length(counts)) counts, group.equal = as.character(case$group_equal),
    group.partial = as.character(case$group_partial)))
  found <- found[!found$op %in% c("==", "<", ">", ":="), ]
  number <- function(column) if (is.null(found[[column]])) 1L else match(found[[column]], unique(found[[column]]))
  found$group <- number("group")
  found$level <- number("level")
  found$name <- lavaan:::lav_partable_labels(transform(found, label = ""), blocks = c("group", "level"))
  found[intersect(c("lhs", "op", "rhs", "group", "level", "user", "free", "ustart", "exo", "label", "name", "lower",
                    "upper"), names(found))]
}

written <- lapply(cases, function(case) c(case, list(table = table(case))))
write_json(written, file.path(here, "spec_partable_blocks.json"), auto_unbox = TRUE, digits = NA, null = "null",
           na = "null", dataframe = "rows", pretty = FALSE)
