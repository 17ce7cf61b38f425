# Writes lavaan_constraints.json: what lavaan says under nonlinear equalities, inequalities and bounds, with expected
# and observed information, about Wald tests there, and about constrained fits whose chi-square is a given one higher.
# Run from the root of the repository or from this folder:  Rscript tests/reference/lavaan_constraints.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

# --- data ------------------------------------------------------------------------------------------------------

hs <- HolzingerSwineford1939[c(paste0("x", 1:9), "ageyr", "school")]
hs$school <- as.character(hs$school)
pd <- PoliticalDemocracy

set.seed(20260911)
n <- 250
x <- rnorm(n)
m <- 0.5 * x + rnorm(n)
y <- 2 + 0.4 * m + 0.1 * x + rnorm(n)
z <- 0.3 * y - 0.02 * m + rnorm(n)
path <- round(data.frame(x, m, y, z), 4)

trait <- rnorm(n)
holes <- round(data.frame(
  t1 = 1 + trait + rnorm(n), t2 = 2 + 0.8 * trait + rnorm(n), t3 = 0.7 * trait + rnorm(n), t4 = trait + rnorm(n)
), 4)
for (column in names(holes)) holes[sample(n, 30), column] <- NA
quarters <- as.data.frame(lapply(hs[paste0("x", 1:6)], function(v) findInterval(v, quantile(v, c(0.25, 0.5, 0.75)))))
data_sets <- list(hs = hs, pd = pd, path = path, holes = holes, quarters = quarters)

# --- models ----------------------------------------------------------------------------------------------------

three <- "visual =~ x1 + a*x2 + b*x3\ntextual =~ x4 + c*x5 + d*x6\nspeed =~ x7 + e*x8 + f*x9\n"
democracy <- "
  ind60 =~ x1 + x2 + x3
  dem60 =~ y1 + a*y2 + b*y3 + c*y4
  dem65 =~ y5 + a*y6 + b*y7 + c*y8
  dem60 ~ p*ind60
  dem65 ~ q*ind60 + r*dem60
  y1 ~~ y5
  y2 ~~ y4 + y6
  y3 ~~ y7
  y4 ~~ y8
  y6 ~~ y8
"
chain <- "m ~ p*x\ny ~ q*m + r*x\nz ~ s*y + u*m\nindirect := p*q\n"
trait_text <- "f =~ t1 + a*t2 + b*t3 + c*t4\n"
six <- "visual =~ x1 + a*x2 + b*x3\ntextual =~ x4 + c*x5 + d*x6\n"
grouped <- "visual =~ x1 + c(a1, a2)*x2 + c(b1, b2)*x3\n"

case <- function(data, model, ..., wald = NULL) list(data = data, model = model, options = list(...), wald = wald)

cases <- list(
  product = case("hs", paste0(three, "a*b == 0.3\n")),
  square = case("hs", paste0(three, "a == b^2\n"), wald = "c*d == 1; e == f"),
  ordered_inactive = case("hs", paste0(three, "a < b\n")),
  ordered_active = case("hs", paste0(three, "b < a\n")),
  two_active = case("hs", paste0(three, "c > 1.15\nd < 0.9\n")),
  mixed = case("hs", paste0(three, "a*b == 0.3\nd > c\ne > 0\n")),
  linear_and_not = case("hs", paste0(three, "c == d\na*b == e*f - 0.8\n")),
  curved = case("hs", paste0(three, "a + b^2 < 0.8\n")),
  means = case("hs", paste0(three, "a*b == 0.3\n"), meanstructure = TRUE),
  exponential = case("hs", paste0(three, "exp(a) == 1.5 + log(b + 1)\n")),
  bounds = case("hs", "visual =~ x1 + lower(0.6)*x2 + x3\ntextual =~ x4 + x5 + upper(0.9)*x6\n"),
  bounds_idle = case("hs", "visual =~ x1 + lower(0)*x2 + x3\ntextual =~ x4 + x5 + x6\n"),
  wishart = case("hs", paste0(three, "a*b == 0.3\n"), likelihood = "wishart"),
  effect = case("pd", paste0(democracy, "p*r == q\n"), wald = "p*r == 0.5"),
  no_direct = case("pd", paste0(democracy, "p*r == 1\nq > 0.6\n")),
  path_product = case("path", paste0(chain, "p*q == 0.1\n"), wald = "r == u; indirect*s == 0.05"),
  path_sign = case("path", paste0(chain, "u > 0\nr > 0\n")),
  path_free_x = case("path", paste0(chain, "u > 0\np*q == s^2\n"), fixed.x = FALSE),
  fiml = case("holes", paste0(trait_text, "a*b == 0.6\n"), missing = "ml"),
  fiml_active = case("holes", paste0(trait_text, "a < b\nc > 0\n"), missing = "ml"),
  gls = case("hs", paste0(three, "a*b == 0.3\nd > c\n"), estimator = "GLS"),
  wls = case("hs", paste0(three, "a*b == 0.3\n"), estimator = "WLS"),
  mlr = case("hs", paste0(three, "a*b == 0.3\n"), estimator = "MLR"),
  mlm = case("hs", paste0(three, "a == b^2\n"), estimator = "MLM"),
  observed = case("hs", three, information = "observed"),
  observed_means = case("pd", democracy, information = "observed", meanstructure = TRUE),
  observed_product = case("hs", paste0(three, "a*b == 0.3\n"), information = "observed"),
  observed_active = case("pd", paste0(democracy, "q < 0.3\n"), information = "observed"),
  groups_product = case("hs", paste0(grouped, "a1*a2 == 0.3\n"), group = "school"),
  groups_ordered = case("hs", paste0(grouped, "a1 > a2\nb1 < b2\n"), group = "school"),
  ordered = case("quarters", paste0(six, "a*b == 0.3\n"), ordered = paste0("x", 1:6)),
  ordered_edge = case("quarters", paste0(six, "a < b\nc*d == 1.1\n"), ordered = paste0("x", 1:6)),
  groups_observed = case("hs", grouped, group = "school", information = "observed")
)

# --- answers ---------------------------------------------------------------------------------------------------

# Restarts at the last estimates until they no longer move: lavaan's search under constraints stops early.
settled <- function(case) {
  fixed <- if (is.null(case$options$fixed.x)) list(fixed.x = TRUE)  # start= would free covariates otherwise
  arguments <- c(list(case$model, data = data_sets[[case$data]]), case$options, fixed)
  fit <- suppressWarnings(do.call("sem", arguments))
  sharp <- c(arguments, list(control = list(rel.tol = 1e-13, iter.max = 10000)))
  for (i in 1:5) {
    again <- suppressWarnings(do.call("sem", c(sharp, list(start = fit))))
    moved <- max(abs(coef(again) - coef(fit)))
    if (!lavInspect(again, "converged")) break
    fit <- again
    if (moved < 1e-9) break
  }
  fit
}

# Newton steps on the conditions of Kuhn and Tucker from where lavaan stopped, with lavaan's own gradient; then its own
# sampling covariances there. Simple bounds are left as lavaan has them.
sharpened <- function(fit) {
  model <- fit@Model
  at <- function(x) lavaan:::lav_model_set_parameters(model, x = x)
  gradient <- function(x) {
    lavaan:::lav_model_gradient(at(x), lavsamplestats = fit@SampleStats, lavdata = fit@Data, lavcache = fit@Cache)
  }
  equalities <- length(if (length(model@ceq.nonlinear.idx) || nrow(model@ceq.JAC)) model@ceq.function(coef_of(fit)))
  inequalities <- length(model@cin.linear.idx) + length(model@cin.nonlinear.idx)
  rules <- function(x) {
    as.numeric(c(if (equalities) model@ceq.function(x), if (inequalities) model@cin.function(x)))
  }
  x <- coef_of(fit)
  value <- rules(x)
  kept <- which(seq_along(value) <= equalities | abs(value) < 1e-3)
  held <- function(x) rules(x)[kept]
  for (i in 1:8) {
    j <- if (length(kept)) numDeriv::jacobian(held, x) else matrix(0, 0, length(x))
    g <- gradient(x)
    lambda <- if (length(kept)) qr.solve(t(j), g) else numeric(0)
    pull <- function(x) {
      gradient(x) - if (length(kept)) as.numeric(lambda %*% numDeriv::jacobian(held, x)) else 0
    }
    h <- numDeriv::jacobian(pull, x)
    h <- (h + t(h)) / 2
    zero <- matrix(0, length(kept), length(kept))
    step <- solve(rbind(cbind(h, t(j)), cbind(j, zero)), -c(pull(x), if (length(kept)) held(x)))[seq_along(x)]
    x <- x + step
    if (max(abs(step)) < 1e-9) break
  }
  model <- at(x)
  if (nrow(model@con.jac)) {
    jac <- numDeriv::jacobian(rules, x)
    attributes(jac) <- attributes(model@con.jac)
    attr(jac, "inactive.idx") <- setdiff(seq_along(value), kept)
    model@con.jac <- jac
  }
  vcov <- lavaan:::lav_model_vcov(
    lavmodel = model, lavsamplestats = fit@SampleStats, lavoptions = fit@Options, lavdata = fit@Data,
    lavpartable = fit@ParTable, lavcache = fit@Cache, lavimplied = lavaan:::lav_model_implied(model), lavh1 = fit@h1
  )
  list(x = x, se = sqrt(pmax(diag(vcov), 0)), moved = max(abs(x - coef_of(fit))), last = max(abs(step)),
       active = I(kept[kept > equalities] - equalities))
}
coef_of <- function(fit) as.numeric(lavaan:::lav_model_get_parameters(fit@Model))

wanted <- c("npar", "chisq", "df", "pvalue", "chisq.scaled", "chisq.scaling.factor", "logl", "aic", "bic", "cfi",
            "rmsea", "srmr")
answer <- function(name) {
  case <- cases[[name]]
  fit <- settled(case)
  estimates <- parameterEstimates(fit, remove.eq = TRUE, remove.ineq = TRUE)
  columns <- intersect(c("lhs", "op", "rhs", "group", "label", "est", "se"), names(estimates))
  measures <- fitMeasures(fit)
  table <- fit@ParTable
  free <- which(table$free > 0 & !duplicated(table$free))
  bounded <- grepl("lower|upper", case$model)
  sharp <- if (bounded) list(x = coef_of(fit), se = table$se[free]) else sharpened(fit)
  tests <- if (is.null(case$wald)) NULL else lavTestWald(fit, gsub(";", "\n", case$wald))[c("stat", "df", "p.value")]
  list(
    name = name, data = case$data, model = case$model, options = case$options, wald = case$wald,
    estimates = as.data.frame(estimates)[columns],
    fit = as.list(unclass(measures[intersect(wanted, names(measures))])),
    sharp = sharp, free = as.data.frame(table)[free, c("lhs", "op", "rhs", "group")],
    converged = lavInspect(fit, "converged"), test = tests
  )
}
found <- lapply(names(cases), answer)

# Ends of profile intervals: where the chi-square of lavaan's fit with the quantity held is 3.841459 above the free fit.
ends <- function(data, model, quantity, ...) {
  fit <- function(text) suppressWarnings(sem(text, data = data_sets[[data]], ...))
  free <- fit(model)
  at <- parameterEstimates(free)
  row <- if (any(at$label == quantity)) which(at$label == quantity)[1] else which(at$lhs == quantity)[1]
  definition <- if (at$op[row] == ":=") at$rhs[row] else quantity
  # standard errors and fit measures are not needed
  rise <- function(value) {
    held <- suppressWarnings(sem(
      sprintf("%s\n%s == %.15g", model, definition, value), data = data_sets[[data]], ..., se = "none"
    ))
    2 * as.numeric(logLik(free) - logLik(held)) - qchisq(0.95, 1)
  }
  width <- at$se[row]
  c(low = uniroot(rise, at$est[row] - c(3.5, 0.8) * width, tol = 1e-10)$root,
    high = uniroot(rise, at$est[row] + c(0.8, 5) * width, tol = 1e-10)$root)
}
two <- "visual =~ x1 + a*x2 + b*x3\ntextual =~ x4 + c*x5 + d*x6\nvisual ~~ k*textual\nx1 ~~ v*x1\nab := a*b\n"
profiles <- list(
  list(data = "hs", model = two, quantity = "a"),
  list(data = "hs", model = two, quantity = "k"),
  list(data = "hs", model = two, quantity = "v"),
  list(data = "hs", model = two, quantity = "ab"),
  list(data = "pd", model = democracy, quantity = "r"),
  list(data = "holes", model = trait_text, quantity = "b", missing = "ml"),
  list(data = "hs", model = grouped, quantity = "a2", group = "school")
)
profiles <- lapply(profiles, function(one) c(one, list(ends = as.list(do.call("ends", one)))))

write_json(
  list(
    lavaan = as.character(packageVersion("lavaan")), R = R.version.string,
    frames = lapply(data_sets, function(frame) as.list(frame)), cases = found,
    profiles = profiles
  ),
  if (dir.exists("tests/reference")) "tests/reference/lavaan_constraints.json" else "lavaan_constraints.json",
  digits = NA, auto_unbox = TRUE, na = "null", null = "null"
)
