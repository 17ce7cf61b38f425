# Relative weights by the route of the singular value decomposition of the data, coefficients and variance inflation
# from lm, and the average over orderings (LMG) for two predictors. Writes drivers.json beside itself.
library(jsonlite)

set.seed(7)
n <- 60
f <- rnorm(n)
x <- round(cbind(f + rnorm(n), f + 0.6 * rnorm(n), rnorm(n), -f + 2 * rnorm(n)), 3)
y <- round(as.vector(x %*% c(0.5, 0.3, 0.4, -0.2)) + rnorm(n), 3)

z <- scale(x)
zy <- as.vector(scale(y))
s <- svd(z)
orthogonal <- scale(s$u %*% t(s$v))
beta <- as.vector(cor(orthogonal, zy))
lambda <- cor(z, orthogonal)
weights <- as.vector(lambda^2 %*% beta^2)

fit <- lm(zy ~ z)
vif <- sapply(seq_len(ncol(z)), function(i) 1 / (1 - summary(lm(z[, i] ~ z[, -i]))$r.squared))
r2 <- function(columns) summary(lm(zy ~ z[, columns]))$r.squared
lmg <- c(r2(1) + r2(1:2) - r2(2), r2(2) + r2(1:2) - r2(1)) / 2

out <- list(made_with = R.version.string, x = x, y = y, weights = weights, r_squared = summary(fit)$r.squared,
  coefficients = unname(coef(fit)[-1]), vif = vif, lmg_first_two = lmg)
folder <- if (dir.exists("tests/reference")) "tests/reference" else "."
write_json(out, file.path(folder, "drivers.json"), digits = NA, auto_unbox = TRUE)
