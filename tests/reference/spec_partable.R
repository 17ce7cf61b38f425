# Writes spec_partable.json beside this file: lavaan's completed parameter tables for a spread of models.
# Run from the repository root or from this folder: Rscript tests/reference/spec_partable.R
suppressMessages({library(lavaan); library(jsonlite)})

here <- if (dir.exists("tests/reference")) "tests/reference" else "."

case <- function(name, text, std_lv = FALSE, orthogonal = FALSE, meanstructure = NULL, fixed_x = TRUE, growth = FALSE)
  list(name = name, text = text, std_lv = std_lv, orthogonal = orthogonal,
       meanstructure = meanstructure, fixed_x = fixed_x, growth = growth)

three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9"
democracy <- paste(
  "ind60 =~ x1 + x2 + x3", "dem60 =~ y1 + y2 + y3 + y4", "dem65 =~ y5 + y6 + y7 + y8",
  "dem60 ~ ind60", "dem65 ~ ind60 + dem60",
  "y1 ~~ y5", "y2 ~~ y4 + y6", "y3 ~~ y7", "y4 ~~ y8", "y6 ~~ y8", sep = "\n")

cases <- list(
  case("cfa", three),
  case("cfa_std_lv", three, std_lv = TRUE),
  case("cfa_orthogonal", three, orthogonal = TRUE),
  case("cfa_meanstructure", three, meanstructure = TRUE),
  case("cfa_given_variances_std_lv", paste0(three, "\nvisual ~~ visual\ntextual ~~ NA*textual"), std_lv = TRUE),
  case("democracy", democracy),
  case("democracy_std_lv_means", democracy, std_lv = TRUE, meanstructure = TRUE),
  case("path", "m ~ x1 + x2\ny ~ m + x1"),
  case("path_free_x", "m ~ x1 + x2\ny ~ m + x1", fixed_x = FALSE),
  case("path_means", "m ~ x1 + x2\ny ~ m + x1", meanstructure = TRUE),
  case("path_means_free_x", "m ~ x1 + x2\ny ~ m + x1", meanstructure = TRUE, fixed_x = FALSE),
  case("two_leaves", "m ~ x\ny1 ~ m\ny2 ~ m + x"),
  case("three_leaves_given_zero", "y1 + y2 + y3 ~ x\ny1 ~~ 0*y2"),
  case("mimic", "f =~ y1 + y2 + y3\nf ~ x1 + x2"),
  case("mimic_direct", "f =~ y1 + y2 + y3\nf ~ x1 + x2\ny2 ~ x1"),
  case("second_order", paste0(three, "\ng =~ visual + textual + speed")),
  case("second_order_std_lv", paste0(three, "\ng =~ visual + textual + speed"), std_lv = TRUE),
  case("labelled_equality", "f =~ x1 + a*x2 + a*x3\ng =~ x4 + a*x5 + b*x6\nx1 ~~ v*x1\nx2 ~~ v*x2"),
  case("fixed_marker", "f =~ x1 + 0.7*x2 + x3\ng =~ 2*x4 + x5 + x6"),
  case("free_marker", "f =~ NA*x1 + x2 + x3\nf ~~ 1*f\ng =~ x4 + 1*x5 + x6"),
  case("labelled_marker", "f =~ a*x1 + x2 + x3\ng =~ NA*x4 + b*x4 + x5 + x6\ng ~~ 1*g"),
  case("growth", "i =~ 1*t1 + 1*t2 + 1*t3 + 1*t4\ns =~ 0*t1 + 1*t2 + 2*t3 + 3*t4", growth = TRUE),
  case("growth_covariates", paste("i =~ 1*t1 + 1*t2 + 1*t3 + 1*t4", "s =~ 0*t1 + 1*t2 + 2*t3 + 3*t4",
       "i ~ x1 + x2", "s ~ x1 + x2", "t1 ~ c1", "t2 ~ c2", "t3 ~ c3", "t4 ~ c4", sep = "\n"), growth = TRUE),
  case("single_indicator", "f =~ x1\ng =~ x2 + x3 + x4\ny ~ f + g"),
  case("single_indicator_given", "f =~ x1\nx1 ~~ 0.3*x1\ng =~ x2 + x3 + x4\ng ~ f"),
  case("single_indicator_given_free", "f =~ x1\nx1 ~~ x1\ng =~ x2 + x3 + x4\ng ~ f"),
  case("single_indicator_std_lv", "f =~ x1\ng =~ x2 + x3 + x4\ng ~ f", std_lv = TRUE),
  case("single_latent_indicator", "f =~ x1 + x2 + x3\ng =~ f\ny ~ g"),
  case("residual_covariances", paste0(three, "\nx1 ~~ x4 + 0.2*x7\nx8 ~~ x9")),
  case("latent_and_observed_outcomes", "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\ng ~ f\ny ~ f\nz ~ f + w"),
  case("indicator_as_outcome", "f =~ x1 + x2 + x3\nx3 ~ z\ny ~ z"),
  case("indicator_as_predictor", "f =~ x1 + x2 + x3\ny ~ x1\nz ~ f"),
  case("feedback", "y1 ~ y2 + x1\ny2 ~ y1 + x2"),
  case("feedback_with_leaf", "y1 ~ y2 + x1\ny2 ~ y1 + x2\nz ~ y1"),
  case("x_variance_given", "y ~ x1 + x2 + x3\nx1 ~~ x1"),
  case("x_covariance_given", "y ~ x1 + x2 + x3\nx1 ~~ x2"),
  case("x_intercept_given", "y ~ x1 + x2\nx1 ~ 1"),
  case("x_free_latent", "f =~ a1 + a2 + a3\ny ~ f + x", fixed_x = FALSE),
  case("latent_covaries_with_x", "f =~ a1 + a2 + a3\ny ~ f + x\nf ~~ x"),
  case("intercept_with_slopes", "y ~ 1 + x\nz ~ 0.5*1 + x"),
  case("intercept_zero", "y ~ 0 + x"),
  case("latent_intercept", "f =~ 1*x1 + x2 + x3\nx1 ~ 0*1\nf ~ 1"),
  case("covariances_only", "x1 ~~ x2 + x3\nx2 ~~ x3"),
  case("intercepts_only", "x1 ~ 1\nx2 ~ 1\nx1 ~~ x2"),
  case("start_values", "f =~ x1 + start(0.5)*x2 + start(-1e-1)*x3"),
  case("label_and_start", "f =~ x1 + a*x2 + start(0.8)*x2 + x3"),
  case("equal_modifier", "f =~ x1 + x2 + equal(\"f=~x2\")*x3"),
  case("string_label", "f =~ x1 + \"load\"*x2 + label(\"other\")*x3"),
  case("bounds_modifiers", "f =~ x1 + lower(0)*x2 + upper(2)*x3"),
  case("fixed_latent_covariance", "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\nf ~~ 0*g"),
  case("orthogonal_structural", democracy, orthogonal = TRUE),
  case("orthogonal_given", paste0(three, "\nvisual ~~ speed"), orthogonal = TRUE),
  case("endogenous_latents", "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\nh =~ x7 + x8 + x9\ng + h ~ f"),
  case("endogenous_latents_orthogonal", "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\nh =~ x7 + x8 + x9\ng + h ~ f", orthogonal = TRUE),
  case("cross_loading", "f =~ x1 + x2 + x3 + x4\ng =~ x4 + x5 + x6"),
  case("two_lhs", "f + g =~ x1 + x2 + x3 + x4\nf ~~ 0*g"),
  case("observed_loads_no_latent", "y ~ a*x + b*z\nw ~ a*x"),
  case("second_order_outcome", paste0(three, "\ng =~ visual + textual + speed\ny ~ g\nx ~ speed")),
  case("constraint", "y ~ a*x1 + b*x2\na == b\nab := a*b"),
  case("fixed_and_label", "y ~ a*x1 + 0.5*x1 + b*x2"),
  case("label_shared_with_fixed", "f =~ a*x1 + a*x2 + x3 + x4"),
  case("variance_fixed_x", "y ~ x1\nx1 ~~ 1*x1", fixed_x = FALSE),
  case("x_variance_given_free_x", "y ~ x1 + x2 + x3\nx1 ~~ x1", fixed_x = FALSE),
  case("x_covariance_given_free_x", "y ~ x1 + x2 + x3\nx1 ~~ x2", fixed_x = FALSE),
  case("single_and_shared", "f =~ x1\ng =~ x1 + x2 + x3 + x4"),
  case("std_lv_labelled_variance", "f =~ x1 + x2 + x3\nf ~~ v*f", std_lv = TRUE),
  case("std_lv_started_variance", "f =~ x1 + x2 + x3\nf ~~ start(0.5)*f", std_lv = TRUE),
  case("std_lv_fixed_variance", "f =~ x1 + x2 + x3\nf ~~ 2*f", std_lv = TRUE),
  case("std_lv_fixed_loading", "f =~ 1*x1 + x2 + x3", std_lv = TRUE),
  case("started_marker", "f =~ start(0.8)*x1 + x2 + x3"),
  case("bounded_marker", "f =~ lower(0)*x1 + x2 + x3"),
  case("equal_to_marker", "f =~ x1 + equal(\"f=~x1\")*x2 + x3"),
  case("equal_to_labelled", "f =~ x1 + a*x2 + equal(\"f=~x2\")*x3"),
  case("equal_to_covariance", "f =~ x1 + x2 + x3\nx1 ~~ x1\nx2 ~~ equal(\"x1~~x1\")*x2"),
  case("zero_marker", "f =~ 0*x1 + x2 + x3"),
  case("covariance_with_leaf", "y ~ x\nz ~~ y"),
  case("leaf_with_exogenous_latent", "f =~ a1 + a2 + a3\ny ~ x"),
  case("two_step_latents", "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\nh =~ x7 + x8 + x9\ng ~ f\nh ~ g\ny ~ h\nz ~ h"),
  case("second_order_predicted", "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\nh =~ f + g\nh ~ w\ng ~ w"),
  case("latent_on_own_indicator_leaf", "f =~ x1 + x2 + x3\nf ~ x\ny ~ f + x\ny ~~ x1"),
  case("means_orthogonal_free_x", "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\ny ~ f + g + z", orthogonal = TRUE, meanstructure = TRUE, fixed_x = FALSE),
  case("growth_with_outcome", "i =~ 1*t1 + 1*t2 + 1*t3\ns =~ 0*t1 + 1*t2 + 2*t3\ny ~ i + s", growth = TRUE),
  case("growth_given_intercepts", "i =~ 1*t1 + 1*t2 + 1*t3\ns =~ 0*t1 + 1*t2 + 2*t3\nt1 ~ a*1\ni ~ 0*1", growth = TRUE),
  case("growth_free_x", "i =~ 1*t1 + 1*t2 + 1*t3\ns =~ 0*t1 + 1*t2 + 2*t3\ni + s ~ x", growth = TRUE, fixed_x = FALSE),
  case("mixed_outcomes_orthogonal", "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\ng ~ f\ny ~ f\nz ~ f + w", orthogonal = TRUE),
  case("second_order_orthogonal", paste0(three, "\ng =~ visual + textual\ng ~ speed\ny ~ g"), orthogonal = TRUE),
  case("single_indicator_std_lv_second_order", "f =~ x1 + x2 + x3\ng =~ f\ny ~ g", std_lv = TRUE),
  case("latent_and_covariate_means", "f =~ a1 + a2 + a3\nf ~ x\ny ~ f + x + w\ny ~ 1"),
  case("covariate_in_covariance_free", "m ~ x\ny ~ m\nm ~~ x"),
  case("leaf_also_covaries", "y1 + y2 ~ x\ny1 ~~ c*y2"),
  case("variance_in_three_leaves", "y1 + y2 ~ x\ny1 ~~ start(2)*y1")
)

has_intercepts <- function(text) any(lavParseModelString(text)$op == "~1")

table <- function(case) {
  means <- isTRUE(case$meanstructure) || case$growth || has_intercepts(case$text)
  found <- suppressWarnings(lavaanify(
    case$text, meanstructure = means, int.ov.free = !case$growth, int.lv.free = case$growth,
    model.type = if (case$growth) "growth" else "sem", std.lv = case$std_lv, orthogonal = case$orthogonal,
    fixed.x = case$fixed_x, ceq.simple = TRUE, auto.fix.first = !case$std_lv, auto.fix.single = TRUE,
    auto.var = TRUE, auto.cov.lv.x = TRUE, auto.cov.y = TRUE, auto.th = TRUE, auto.delta = TRUE))
  found[intersect(c("lhs", "op", "rhs", "user", "free", "ustart", "exo", "label", "lower", "upper"), names(found))]
}

written <- lapply(cases, function(case) c(case, list(table = table(case))))
write_json(written, file.path(here, "spec_partable.json"), auto_unbox = TRUE, digits = NA, null = "null", na = "null",
           dataframe = "rows", pretty = FALSE)
