# Product-limit curve written out (Greenwood, log-log intervals) and exact intervals for made-up ledgers, to compare with.
# Run from the repository root or from this folder; writes retention.json beside itself.
library(jsonlite)

set.seed(20)
n <- 180
age <- sample(1:9, n, replace = TRUE)
life <- rgeom(n, 0.17) + 1
whole <- data.frame(tenure = pmin(age, life), churned = as.integer(life <= age))
until <- runif(n, 0.2, 9)
life <- rexp(n, 0.2)
broken <- data.frame(tenure = round(pmin(until, life), 3), churned = as.integer(life <= until))

curve <- function(ledger) {
  last <- ceiling(max(ledger$tenure[ledger$churned == 1]))
  when <- sort(unique(ledger$tenure[ledger$churned == 1]))
  out <- sapply(seq_len(last), function(t) {
    survival <- 1
    greenwood <- 0
    for (u in when[when <= t]) {
      d <- sum(ledger$churned == 1 & ledger$tenure == u)
      r <- sum(ledger$tenure >= u)
      survival <- survival * (1 - d / r)
      greenwood <- greenwood + d / (r * (r - d))
    }
    half <- qnorm(0.975) * sqrt(greenwood) / abs(log(survival))
    c(survival, survival^exp(half), survival^exp(-half))
  })
  list(period = seq_len(last), survival = out[1, ], conf_low = out[2, ], conf_high = out[3, ])
}

binomial <- binom.test(sum(whole$churned), sum(whole$tenure))
poisson <- poisson.test(sum(broken$churned), sum(broken$tenure))
out <- list(
  made_with = R.version.string,
  whole = c(as.list(whole), list(curve = curve(whole), retention = 1 - unname(binomial$estimate),
    conf_low = 1 - binomial$conf.int[2], conf_high = 1 - binomial$conf.int[1])),
  broken = c(as.list(broken), list(curve = curve(broken), retention = exp(-unname(poisson$estimate)),
    conf_low = exp(-poisson$conf.int[2]), conf_high = exp(-poisson$conf.int[1])))
)
folder <- if (dir.exists("tests/reference")) "tests/reference" else "."
write_json(out, file.path(folder, "retention.json"), digits = NA, auto_unbox = TRUE)
