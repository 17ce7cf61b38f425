# Writes lavaan_datasets.json: what lavaan says about models of data sets that come with R and its packages.
# Only moments of the data are stored. Run from the root of the repository or from this folder:
#   Rscript tests/reference/lavaan_datasets.R
suppressPackageStartupMessages({
  library(lavaan)
  library(jsonlite)
})

# --- data ------------------------------------------------------------------------------------------------------

from <- function(package, name) {
  place <- new.env()
  data(list = name, package = package, envir = place)
  place[[name]]
}
wide <- function(frame, id, time, value) {
  frame <- frame[c(id, time, value)]
  names(frame) <- c("id", "time", "value")
  table <- reshape(as.data.frame(frame), direction = "wide", idvar = "id", timevar = "time")
  table <- table[complete.cases(table), -1]
  names(table) <- paste0("t", seq_along(table))
  table
}

# In the units of longley's own columns lavaan's baseline chi-square is 136.688, of the standardised ones 136.679, which
# is the closed form in either.
hs <- HolzingerSwineford1939[c(paste0("x", 1:9), "ageyr", "grade")]
hs$boy <- as.numeric(HolzingerSwineford1939$sex == 1)
twoway <- as.data.frame(from("semTools", "dat2way"))
judges <- USJudgeRatings
names(judges) <- tolower(names(judges))
cars <- mtcars
cars$displacement <- cars$disp / 100
cars$power <- cars$hp / 100
pupils <- from("multilevel", "univbct")
pupils <- unique(pupils[c("SUBNUM", "AGE", "JOBSAT1", "JOBSAT2", "JOBSAT3", "COMMIT1", "COMMIT2", "COMMIT3")])
leaders <- from("multilevel", "lq2002")
shells <- from("MASS", "crabs")[c("FL", "RW", "CL", "CW", "BD")]
burns <- FacialBurns
burns$woman <- as.numeric(burns$Sex) - 1
air <- airquality[c("Ozone", "Solar.R", "Wind", "Temp")]
names(air) <- c("ozone", "solar", "wind", "temperature")

data_sets <- list(
  hs = hs, pd = PoliticalDemocracy, growth = Demo.growth, level = Demo.twolevel[paste0(c("y", "y", "y", "x"), c(1:3, 1))],
  burns = burns[c("Selfesteem", "HADS", "Age", "TBSA", "RUM", "woman")], twoway = twoway,
  long = from("semTools", "exLong")[-1], parcel = from("semTools", "simParcel"), attitude = attitude, swiss = swiss,
  longley = as.data.frame(scale(longley)), cars = cars[c("mpg", "displacement", "power", "wt", "qsec", "drat")], judges = judges, iris = iris[1:4],
  saving = LifeCycleSavings, air = air, stack = stackloss, trees = trees, quakes = quakes,
  bfi = psych::bfi, act = psych::sat.act, media = psych::Tal_Or, protest = psych::Garcia,
  jobs = pupils, leaders = leaders, shells = shells, sitka = wide(from("MASS", "Sitka"), "tree", "Time", "size"),
  sleep = wide(from("lme4", "sleepstudy"), "Subject", "Days", "Reaction"),
  chicks = wide(subset(ChickWeight, Time <= 10), "Chick", "Time", "weight")
)

matrices <- list(
  ability = list(cov = ability.cov$cov, n = ability.cov$n.obs),
  tests24 = list(cov = Harman74.cor$cov, n = Harman74.cor$n.obs),
  body = list(cov = Harman23.cor$cov, n = Harman23.cor$n.obs),
  nine = list(cov = psych::Holzinger.9, n = 145),
  tucker = list(cov = psych::Tucker, n = 710),
  visits = list(cov = psych::Reise, n = 35000),
  seventeen = list(cov = psych::Bechtoldt.1, n = 212)
)
matrices <- lapply(matrices, function(item) {
  item$cov <- as.matrix(item$cov)
  rownames(item$cov) <- colnames(item$cov)
  item$cov <- (item$cov + t(item$cov)) / 2
  item
})

# --- models ----------------------------------------------------------------------------------------------------

across <- function(construct, items, first = NULL) paste(construct, "=~", paste(c(first, items), collapse = " + "))
three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
line <- "i =~ 1*t1 + 1*t2 + 1*t3 + 1*t4\ns =~ 0*t1 + 1*t2 + 2*t3 + 3*t4\n"
five <- "i =~ 1*t1 + 1*t2 + 1*t3 + 1*t4 + 1*t5\ns =~ 0*t1 + 0.18*t2 + 0.53*t3 + 0.77*t4 + 1.06*t5\n"
change <- "
  l1 =~ 1*t1
  l2 =~ 1*t2
  l3 =~ 1*t3
  l4 =~ 1*t4
  l2 ~ 1*l1
  l3 ~ 1*l2
  l4 ~ 1*l3
  d2 =~ 1*l2
  d3 =~ 1*l3
  d4 =~ 1*l4
  d2 ~ b*l1
  d3 ~ b*l2
  d4 ~ b*l3
  slope =~ 1*d2 + 1*d3 + 1*d4
  slope ~~ slope + l1
  l2 ~~ 0*l2
  l3 ~~ 0*l3
  l4 ~~ 0*l4
  d2 ~~ 0*d2 + 0*d3 + 0*d4 + 0*l1 + 0*slope
  d3 ~~ 0*d3 + 0*d4 + 0*l1 + 0*slope
  d4 ~~ 0*d4 + 0*l1 + 0*slope
  t1 ~~ e*t1
  t2 ~~ e*t2
  t3 ~~ e*t3
  t4 ~~ e*t4
  t1 ~ 0*1
  t2 ~ 0*1
  t3 ~ 0*1
  t4 ~ 0*1
  l1 ~ 1
  l2 ~ 0*1
  l3 ~ 0*1
  l4 ~ 0*1
  d2 ~ 0*1
  d3 ~ 0*1
  d4 ~ 0*1
  slope ~ 1
"
waves <- "
  w1 =~ y1t1 + a*y2t1 + b*y3t1
  w2 =~ y1t2 + a*y2t2 + b*y3t2
  w3 =~ y1t3 + a*y2t3 + b*y3t3
  y1t1 ~~ y1t2 + y1t3
  y1t2 ~~ y1t3
  y2t1 ~~ y2t2 + y2t3
  y2t2 ~~ y2t3
  y3t1 ~~ y3t2 + y3t3
  y3t2 ~~ y3t3
"
strong <- paste0(waves, "
  y1t1 + y1t2 + y1t3 ~ 0*1
  y2t1 + y2t2 + y2t3 ~ m2*1
  y3t1 + y3t2 + y3t3 ~ m3*1
  w1 + w2 + w3 ~ 1
")
second_growth <- paste0(waves, "
  y1t1 + y1t2 + y1t3 ~ 0*1
  y2t1 + y2t2 + y2t3 ~ m2*1
  y3t1 + y3t2 + y3t3 ~ m3*1
  w1 + w2 + w3 ~ 0*1
  i =~ 1*w1 + 1*w2 + 1*w3
  s =~ 0*w1 + 1*w2 + 2*w3
  i + s ~ 1
")
spatial <- c("VisualPerception", "Cubes", "PaperFormBoard", "Flags")
verbal <- c("GeneralInformation", "PargraphComprehension", "SentenceCompletion", "WordClassification", "WordMeaning")
speeded <- c("Addition", "Code", "CountingDots", "StraightCurvedCapitals")
memory <- c("WordRecognition", "NumberRecognition", "FigureRecognition", "ObjectNumber", "NumberFigure", "FigureWord")
reise <- list(
  access = c("phone", "routine", "illness"), doctor = c("listen", "explain", "respect", "time"),
  office = c("courtesy", "helpful"), specialist = c("happy", "referral", "necessary", "delay"),
  plan = c("problem", "help", "paperwork")
)
bifactor_visits <- paste(c(
  across("general", unlist(reise)[-1], unlist(reise)[1]),
  across("access", reise$access), across("doctor", reise$doctor), across("specialist", reise$specialist),
  across("plan", reise$plan)
), collapse = "\n")
big <- function(letter, name) across(name, paste0(letter, 1:5))

case <- function(data, model, ..., estimator = "ML") {
  list(data = data, model = model, options = list(...), estimator = estimator)
}

cases <- list(
  # measurement
  hs_one_factor = case("hs", across("g", paste0("x", 1:9))),
  hs_bifactor = case("hs", paste0(across("g", paste0("x", 1:9)), "\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9"),
    orthogonal = TRUE, std.lv = TRUE
  ),
  hs_effect_coding = case("hs", "visual =~ NA*x1 + a*x1 + b*x2 + c*x3\nspeed =~ x7 + x8 + x9\na + b + c == 3"),
  hs_effect_coding_means = case("hs", paste0(
    "visual =~ NA*x1 + a*x1 + b*x2 + c*x3\ntextual =~ x4 + x5 + x6\na + b + c == 3\n",
    "x1 ~ i*1\nx2 ~ j*1\nx3 ~ k*1\ni + j + k == 0\nvisual ~ 1"
  ), meanstructure = TRUE),
  hs_tau_equivalent = case("hs", "textual =~ 1*x4 + 1*x5 + 1*x6\nspeed =~ 1*x7 + 1*x8 + 1*x9"),
  hs_parallel_means = case("hs", paste0(
    "speed =~ 1*x7 + 1*x8 + 1*x9\nx7 ~~ e*x7\nx8 ~~ e*x8\nx9 ~~ e*x9\nx7 ~ m*1\nx8 ~ m*1\nx9 ~ m*1"
  ), meanstructure = TRUE),
  hs_second_order_mimic = case("hs", paste0(three, "ability =~ visual + textual + speed\nability ~ ageyr + grade + boy")),
  hs_mimic_direct = case("hs", paste0(three, "visual + textual + speed ~ boy + grade\nx3 ~ boy\nx7 ~ grade"), std.lv = TRUE),
  hs_correlated_uniqueness = case("hs", paste0(three, "x1 ~~ x4 + x7\nx4 ~~ x7")),
  hs_structural = case("hs", paste0(three, "speed ~ visual + textual\ntextual ~ visual"), std.lv = TRUE),
  hs_composite_cause = case("hs", paste0(three, "textual ~ visual\nageyr ~ textual + speed\nspeed ~ 0*visual"), fixed.x = FALSE),
  agree = case("bfi", big("A", "agree")),
  extra_std = case("bfi", big("E", "extra"), std.lv = TRUE),
  conscientious_pair = case("bfi", paste0(big("C", "consc"), "\nC4 ~~ C5\nC1 ~~ C2")),
  neuro_parallel_pairs = case("bfi", "neuro =~ N1 + a*N2 + N3 + a*N4 + N5\nN1 ~~ e*N1\nN2 ~~ e*N2"),
  two_traits_age = case("bfi", paste(big("A", "agree"), big("E", "extra"), "agree ~ age + gender", "extra ~ agree + age",
    sep = "\n"
  ), meanstructure = TRUE),
  stability_above = case("bfi", paste(big("A", "agree"), big("C", "consc"), big("N", "neuro"), big("E", "extra"),
    "O =~ O1 + O2 + O3 + O4 + O5", "stability =~ agree + consc + neuro", "plasticity =~ extra + O", sep = "\n"
  )),
  leadership = case("leaders", paste0(
    "lead =~ LEAD01 + LEAD02 + LEAD03 + LEAD04 + LEAD05 + LEAD06\ntask =~ TSIG01 + TSIG02 + TSIG03\n",
    "hostile =~ HOSTIL01 + HOSTIL02 + HOSTIL03 + HOSTIL04 + HOSTIL05\nhostile ~ b*lead + c*task\ntask ~ a*lead\nab := a*c"
  )),
  twoway_factors = case("twoway", "f1 =~ x1 + x2 + x3\nf2 =~ x4 + x5 + x6\nf3 =~ x7 + x8 + x9\nf3 ~ f1 + f2"),
  parcel_factors = case("parcel", paste(across("f1", paste0("f1item", 1:9)), across("f2", paste0("f2item", 1:9)), sep = "\n")),
  shells_size = case("shells", "size =~ FL + RW + CL + CW + BD"),
  judges_ratings = case("judges", "person =~ intg + dmnr + prep + fami\nwork =~ dilg + cfmg + deci\nrten ~ person + work"),
  ability_two = case("ability", "spatial =~ picture + blocks + maze\nverbal =~ reading + vocab\nspatial + verbal ~ general"),
  ability_second = case("ability", "g =~ general + picture + blocks + maze\nverbal =~ reading + vocab\nverbal ~~ g", std.lv = TRUE),
  tests_four = case("tests24", paste(
    across("spatial", spatial), across("verbal", verbal), across("speeded", speeded), across("memory", memory), sep = "\n"
  )),
  tests_second_order = case("tests24", paste(
    across("spatial", spatial), across("verbal", verbal), across("speeded", speeded), across("memory", memory),
    "g =~ spatial + verbal + speeded + memory", sep = "\n"
  ), std.lv = TRUE),
  tests_bifactor = case("tests24", paste(
    across("g", c(spatial, verbal, speeded, memory)), across("v", verbal), across("p", speeded), across("m", memory), sep = "\n"
  ), std.lv = TRUE, orthogonal = TRUE),
  body_two = case("body", paste0(
    "lanky =~ height + arm.span + forearm + lower.leg\nstocky =~ weight + bitro.diameter + chest.girth + chest.width"
  )),
  nine_three = case("nine", "space =~ vis_perc + cubes + lozenges\nwords =~ par_comp + sen_comp + wordmean\npace =~ addition + count_dot + s_c_caps",
    likelihood = "wishart"
  ),
  tucker_three = case("tucker", "words =~ t42 + t54 + t45 + t46\nnumbers =~ t23 + t24 + t27\nspeeds =~ t10 + t51\nt10 ~~ t27"),
  visits_bifactor = case("visits", bifactor_visits, std.lv = TRUE, orthogonal = TRUE),
  seventeen_six = case("seventeen", paste0(
    "memory =~ First_Names + Word_Number\nwords =~ Sentences + Vocabulary + Completion\n",
    "fluency =~ First_Letters + Four_letter_words + Suffixes\nspace =~ Flags + Figures + Cards\n",
    "number =~ Addition + Multiplication + Three_Higher\nreason =~ Letter_Series + Pedigrees + Letter_Grouping"
  )),

  # time
  growth_basis = case("growth", "i =~ 1*t1 + 1*t2 + 1*t3 + 1*t4\ns =~ 0*t1 + t2 + t3 + 3*t4", growth = TRUE),
  growth_quadratic = case("growth", paste0(line, "q =~ 0*t1 + 1*t2 + 4*t3 + 9*t4\nt1 ~~ e*t1\nt2 ~~ e*t2\nt3 ~~ e*t3\nt4 ~~ e*t4"),
    growth = TRUE
  ),
  growth_equal_residuals = case("growth", paste0(line, "i + s ~ x1 + x2\nt1 ~~ e*t1\nt2 ~~ e*t2\nt3 ~~ e*t3\nt4 ~~ e*t4"),
    growth = TRUE
  ),
  growth_varying = case("growth", paste0(line, "i + s ~ x1\nt1 ~ k*c1\nt2 ~ k*c2\nt3 ~ k*c3\nt4 ~ k*c4"), growth = TRUE),
  growth_random_x = case("growth", paste0(line, "i + s ~ x1 + x2\nt1 ~ c1\nt2 ~ c2\nt3 ~ c3\nt4 ~ c4"), growth = TRUE, fixed.x = FALSE),
  growth_lagged = case("growth", paste0(line, "t2 ~ r*t1\nt3 ~ r*t2\nt4 ~ r*t3\nt1 ~~ e*t1\nt2 ~~ e*t2\nt3 ~~ e*t3\nt4 ~~ e*t4"), growth = TRUE),
  change_scores = case("growth", change, meanstructure = TRUE),
  simplex = case("growth", "l1 =~ 1*t1\nl2 =~ 1*t2\nl3 =~ 1*t3\nl4 =~ 1*t4\nl2 ~ l1\nl3 ~ l2\nl4 ~ l3\nt1 ~~ e*t1\nt2 ~~ e*t2\nt3 ~~ e*t3\nt4 ~~ e*t4"),
  sitka_growth = case("sitka", five, growth = TRUE),
  sitka_quadratic = case("sitka", paste0(five, "q =~ 0*t1 + 0.0324*t2 + 0.2809*t3 + 0.5929*t4 + 1.1236*t5"), growth = TRUE),
  sleep_growth = case("sleep", paste0(
    "i =~ ", paste0("1*t", 1:10, collapse = " + "), "\ns =~ ", paste0(0:9, "*t", 1:10, collapse = " + "), "\n",
    paste0("t", 1:10, " ~~ e*t", 1:10, collapse = "\n")
  ), growth = TRUE),
  chicks_growth = case("chicks", paste0(
    "i =~ ", paste0("1*t", 1:6, collapse = " + "), "\ns =~ ", paste0(0:5, "*t", 1:6, collapse = " + "), "\n",
    "q =~ ", paste0((0:5)^2, "*t", 1:6, collapse = " + ")
  ), growth = TRUE),
  jobs_cross_lagged = case("jobs", paste0(
    "JOBSAT3 + COMMIT3 ~ JOBSAT2 + COMMIT2\nJOBSAT2 + COMMIT2 ~ JOBSAT1 + COMMIT1\nJOBSAT2 ~~ COMMIT2\nJOBSAT3 ~~ COMMIT3"
  )),
  jobs_intercepts_apart = case("jobs", paste0(
    "rj =~ 1*JOBSAT1 + 1*JOBSAT2 + 1*JOBSAT3\nrc =~ 1*COMMIT1 + 1*COMMIT2 + 1*COMMIT3\n",
    "j1 =~ 1*JOBSAT1\nj2 =~ 1*JOBSAT2\nj3 =~ 1*JOBSAT3\nc1 =~ 1*COMMIT1\nc2 =~ 1*COMMIT2\nc3 =~ 1*COMMIT3\n",
    "j2 ~ a*j1 + b*c1\nc2 ~ c*j1 + d*c1\nj3 ~ a*j2 + b*c2\nc3 ~ c*j2 + d*c2\nj1 ~~ c1\nj2 ~~ c2\nj3 ~~ c3\n",
    "rj ~~ 0*j1 + 0*c1\nrc ~~ 0*j1 + 0*c1\n",
    paste0(c("JOBSAT", "COMMIT"), rep(1:3, each = 2), " ~~ 0*", c("JOBSAT", "COMMIT"), rep(1:3, each = 2), collapse = "\n")
  )),
  waves_weak = case("long", waves),
  waves_strong = case("long", strong, meanstructure = TRUE),
  waves_growth = case("long", second_growth, meanstructure = TRUE),

  # paths
  cars_path = case("cars", "mpg ~ wt + power\nqsec ~ power + wt\npower ~ displacement\nwt ~ displacement"),
  cars_latent = case("cars", "engine =~ displacement + power + wt\nmpg ~ engine + drat\nqsec ~ engine"),
  longley_path = case("longley", "Employed ~ GNP + Unemployed + Armed.Forces\nUnemployed ~ Population + Year"),
  swiss_path = case("swiss", "Fertility ~ Agriculture + Education + Infant.Mortality\nEducation ~ Examination + Agriculture\nExamination ~ Agriculture + Catholic"),
  swiss_factor = case("swiss", "modern =~ Education + Examination + Agriculture\nFertility ~ modern + Catholic\nInfant.Mortality ~ Fertility"),
  swiss_feedback = case("swiss", "Fertility ~ Education + Catholic + Infant.Mortality\nEducation ~ Fertility + Agriculture\nEducation ~~ Fertility",
    fixed.x = FALSE
  ),
  attitude_chain = case("attitude", paste0(
    "rating ~ c*complaints + b*learning\nlearning ~ a*complaints + raises\nraises ~ d*complaints\n",
    "indirect := a*b\nlong := d*a*b\ntotal := c + indirect\nratio := indirect / total"
  ), meanstructure = TRUE),
  iris_path = case("iris", "Petal.Width ~ Petal.Length\nPetal.Length ~ Sepal.Length + Sepal.Width"),
  saving_loop = case("saving", "sr ~ ddpi + pop15\nddpi ~ sr + dpi\nsr ~~ ddpi"),
  air_path = case("air", "ozone ~ temperature + wind\ntemperature ~ solar + wind", meanstructure = TRUE),
  stack_path = case("stack", "stack.loss ~ Air.Flow + Water.Temp\nWater.Temp ~ Air.Flow\nAcid.Conc. ~ Air.Flow"),
  trees_path = case("trees", "Volume ~ 4.5*Girth + Height\nGirth ~ Height"),
  quakes_path = case("quakes", "stations ~ mag + depth\nmag ~ depth + long\ndepth ~ long + lat"),
  act_latent = case("act", "ability =~ ACT + SATV + SATQ\nability ~ education + age + gender"),
  media_mediation = case("media", "reaction ~ b1*pmi + b2*import + c*cond\npmi ~ a1*cond\nimport ~ a2*cond\npmi ~~ import\ni1 := a1*b1\ni2 := a2*b2\ntotal := c + i1 + i2"),
  protest_chain = case("protest", "anger ~ protest + sexism\nrespappr ~ protest\nliking ~ anger + respappr + protest", meanstructure = TRUE),
  burns_path = case("burns", "HADS ~ a*RUM + TBSA + woman\nSelfesteem ~ b*HADS + Age + woman\nRUM ~ TBSA\nab := a*b"),
  level_alone = case("level", "f =~ y1 + y2 + y3\nf ~ x1", meanstructure = TRUE)
)

robust <- c("hs_parallel_means", "agree", "growth_equal_residuals", "attitude_chain", "media_mediation", "iris_path", "level_alone",
            "air_path", "sitka_growth", "waves_strong", "burns_path", "protest_chain")
least <- c("agree", "attitude_chain", "iris_path", "level_alone", "sitka_growth", "extra_std", "neuro_parallel_pairs", "quakes_path")
added <- function(names, estimators) {
  made <- list()
  for (name in names) for (estimator in estimators) {
    item <- cases[[name]]
    item$estimator <- estimator
    made[[paste0(name, "_", tolower(estimator))]] <- item
  }
  made
}
cases <- c(
  cases, added(robust, c("MLM", "MLR")), added(least, "GLS"), added(setdiff(least, c("sitka_growth", "iris_path", "quakes_path")), "WLS"),
  added(setdiff(least, "quakes_path"), "ULSM")
)

# --- fitting and writing ---------------------------------------------------------------------------------------

plain <- c(MLM = "ML", MLR = "ML", ULSM = "ULS")

input_of <- function(item) {
  if (!is.null(data_sets[[item$data]])) return(list(data = data_sets[[item$data]]))
  list(sample.cov = matrices[[item$data]]$cov, sample.nobs = matrices[[item$data]]$n)
}

fit_case <- function(item, estimator, ...) {
  options <- item$options
  verb <- if (isTRUE(options$growth)) "growth" else "sem"
  options$growth <- NULL
  do.call(verb, c(list(model = item$model, estimator = estimator), input_of(item), options, list(...)))
}

# Evaluate at `theta` without optimising.
at <- function(item, fit, theta, estimator) {
  table <- parTable(fit)
  table$ustart[table$free > 0] <- theta[table$free[table$free > 0]]
  table$est <- table$se <- table$start <- NULL
  options <- item$options[names(item$options) %in% c("likelihood", "fixed.x", "meanstructure")]
  do.call("lavaan", c(list(model = table, optim.method = "none", estimator = estimator), input_of(item), options))
}

slope <- function(fit) drop(lavaan:::lav_model_gradient(fit@Model, lavsamplestats = fit@SampleStats, lavdata = fit@Data))

lav_theta <- function(fit) {
  table <- parTable(fit)
  table$est[table$free > 0][order(table$free[table$free > 0])]
}

step <- function(fit) {
  n <- lavInspect(fit, "nobs")
  if (fit@Options$estimator != "ML") n <- n - 1
  -drop(n * unclass(vcov(fit)) %*% slope(fit))
}

# lavaan stops some 1e-5 short of the optimum; steps with its own gradient and information bring it there.
polished <- function(item, fit, estimator) {
  size <- 1 + abs(lav_theta(fit))
  last <- Inf
  share <- 1
  for (round in 1:400) {
    move <- step(fit)
    if (max(abs(move) / size) > last) share <- max(share / 2, 0.1)
    last <- max(abs(move) / size)
    if (last < 1e-11) break
    fit <- at(item, fit, lav_theta(fit) + share * move, estimator)
  }
  list(fit = fit, last = last)
}

# Its independence model stops short as well, by up to ten per cent of the statistic under GLS and WLS.
baseline_of <- function(item, fit, estimator) {
  options <- item$options[names(item$options) %in% c("likelihood", "fixed.x", "meanstructure")]
  table <- lav_partable_independence(fit)
  sample <- lavInspect(fit, "sampstat")
  own <- table$op == "~~" & table$lhs == table$rhs & table$free > 0
  table$ustart[own] <- diag(sample$cov)[table$lhs[own]]
  mean <- table$op == "~1" & table$free > 0
  table$ustart[mean] <- sample$mean[table$lhs[mean]]
  alone <- do.call("lavaan", c(list(model = table, estimator = estimator, optim.method = "none"), input_of(item), options))
  polished(item, alone, estimator)
}

fit_tightly <- function(item) {
  base <- if (item$estimator %in% names(plain)) plain[[item$estimator]] else item$estimator
  fit <- fit_case(item, base)
  stopifnot(lavInspect(fit, "converged"))
  found <- polished(item, fit, base)
  found$measures <- if (base == item$estimator) {
    alone <- baseline_of(item, fit, base)
    found$last <- max(found$last, alone$last)
    fitMeasures(found$fit, baseline.model = alone$fit)
  }
  if (base != item$estimator) {
    found$fit <- at(item, fit, lav_theta(found$fit), item$estimator)
    found$measures <- fitMeasures(found$fit)
  }
  found
}

keep <- function(table, columns) {
  table <- as.data.frame(table)
  if (!"label" %in% names(table)) table$label <- ""
  row.names(table) <- NULL
  table[intersect(columns, names(table))]
}

moments_of <- function(rows, higher) {
  z <- scale(as.matrix(rows), scale = FALSE)
  pair <- which(upper.tri(diag(ncol(z)), diag = TRUE), arr.ind = TRUE)
  pair <- pair[order(pair[, 1], pair[, 2]), ]
  wide <- cbind(z, z[, pair[, 1]] * z[, pair[, 2]])
  fourth <- cov(wide) * (nrow(z) - 1) / nrow(z)
  list(
    n = unbox(nrow(z)), names = colnames(z), covariance = unname(cov(z)), means = unname(colMeans(rows)),
    higher = if (higher) unname(fourth[row(fourth) >= col(fourth)])
  )
}

describe <- function(name) {
  item <- cases[[name]]
  capture.output(found <- suppressWarnings(fit_tightly(item)))
  fit <- found$fit
  used <- lavNames(fit, "ov")
  key <- paste(c(item$data, used), collapse = " ")
  if (is.null(data_sets[[item$data]])) {
    if (is.null(moments[[key]])) moments[[key]] <<- list(
      n = unbox(matrices[[item$data]]$n), names = used, covariance = unname(matrices[[item$data]]$cov[used, used]), means = NULL
    )
  } else {
    higher <- item$estimator %in% c("MLM", "MLR", "ULSM", "WLS")
    if (is.null(moments[[key]]) || (higher && is.null(moments[[key]]$higher))) {
      rows <- data_sets[[item$data]][used]
      moments[[key]] <<- moments_of(rows[complete.cases(rows), ], higher)
    }
  }
  measures <- found$measures
  cat(sprintf("%-28s n=%5d npar=%3d chisq=%10.4f df=%3d last step=%.1e\n", name, lavInspect(fit, "nobs"), measures["npar"],
              measures["chisq"], measures["df"], found$last))
  stopifnot(moments[[key]]$n == lavInspect(fit, "nobs"))
  options <- item$options
  names(options) <- gsub(".", "_", names(options), fixed = TRUE)
  list(
    name = unbox(name), data = unbox(key), model = unbox(item$model), estimator = unbox(item$estimator),
    options = lapply(options, unbox), last_step = unbox(found$last),
    estimates = keep(parameterEstimates(fit, remove.nonfree = FALSE, remove.eq = FALSE), c(
      "lhs", "op", "rhs", "est", "se", "z", "pvalue", "ci.lower", "ci.upper"
    )),
    standardized = keep(standardizedSolution(fit), c("lhs", "op", "rhs", "est.std", "se")),
    fit = lapply(as.list(unclass(measures)), unbox)
  )
}

here <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
moments <- list()
answers <- list()
for (name in names(cases)) {
  answer <- tryCatch(describe(name), error = function(e) cat(name, "FAILED:", conditionMessage(e), "\n"))
  if (!is.null(answer)) answers[[length(answers) + 1]] <- answer
}
written <- list(
  lavaan = unbox(as.character(packageVersion("lavaan"))), R = unbox(R.version.string), moments = moments, cases = answers
)
write_json(written, file.path(dirname(here), "lavaan_datasets.json"), digits = NA, na = "null", null = "null")
