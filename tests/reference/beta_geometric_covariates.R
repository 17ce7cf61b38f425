# Shifted beta-geometric model with covariates on log alpha and log beta, by base R's optim on one row a customer.
# Run from the root: Rscript tests/reference/beta_geometric_covariates.R
library(jsonlite)
set.seed(7)
n <- 2400
size <- round(rnorm(n, 0, 1), 1)
segment <- sample(c("basic", "gold", "silver"), n, replace = TRUE)
unit <- sample(1:30, n, replace = TRUE)
entry <- sample(0:3, n, replace = TRUE)
a <- exp(0.1 + 0.25 * size - 0.5 * (segment == "gold"))
b <- exp(1.2 + 0.3 * (segment == "silver"))
life <- rgeom(n, rbeta(n, a, b)) + 1
seen <- life > entry
left <- life <= entry + 5
tenure <- pmin(life, entry + 5)
rows <- data.frame(tenure, churned = as.integer(left), entry, size, segment, unit)[seen, ]

z <- model.matrix(~ segment + size, rows)
k <- ncol(z)
log_survival <- function(t, a, b) lbeta(a, b + t) - lbeta(a, b)
each <- function(x) {
  a <- exp(drop(z %*% x[1:k])); b <- exp(drop(z %*% x[k + 1:k]))
  with(rows, ifelse(churned == 1,
    lbeta(a + 1, b + tenure - 1) - lbeta(a, b), log_survival(tenure, a, b)) - log_survival(entry, a, b))
}
negative <- function(x) -sum(each(x))
found <- optim(rep(0, 2 * k), negative, method = "BFGS", control = list(maxit = 2000, reltol = 1e-15))
found <- optim(found$par, negative, method = "BFGS", control = list(maxit = 2000, reltol = 1e-15), hessian = FALSE)
x <- found$par
information <- -numDeriv::hessian(function(x) sum(each(x)), x)
inverse <- solve(information)
scores <- numDeriv::jacobian(each, x)
sums <- rowsum(scores, rows$unit)
groups <- nrow(sums)
sandwich <- groups / (groups - 1) * inverse %*% crossprod(sums) %*% inverse
out <- list(
  about = "base R optim and numDeriv; one row a customer, observed information, sandwich over units",
  rows = rows, coefficients = x, std_error = sqrt(diag(inverse)), clustered = sqrt(diag(sandwich)), loglik = -found$value
)
write(toJSON(out, digits = 10, dataframe = "columns", auto_unbox = TRUE), "tests/reference/beta_geometric_covariates.json")
