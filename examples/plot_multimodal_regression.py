"""
=======================================================
Regression with two branches: the likelihood of targets
=======================================================

A regressor predicts one number for each input, the mean of the targets. Where targets
lie on several branches, the mean lies between them, where there are no targets at all.
A conditional variational autoencoder (VAE) learns the distribution of the targets: it
is fitted to the targets as X, given the inputs as y. Its latent variable chooses the
branch. This example compares both by the log-likelihood of new targets.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats
from scipy.special import logsumexp
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import cross_val_predict

from skgen import ConditionalGaussianVAE

# %%
# Two branches
# ------------
# For an input u between -1 and 1 the target is one of two functions of u, with equal
# probability, plus noise. Such data come from the inversion of a measurement: two
# states of a system lead to the same observation. The branches meet at the left, and
# are far apart at the right.

NOISE = 0.15
rng = np.random.RandomState(0)


def branches(u):
    """Return the two functions of the input."""
    middle, half = 0.5 * np.sin(3 * u), 0.5 * (1 + u)
    return np.stack([middle - half, middle + half])


def draw(n_samples):
    u = rng.uniform(-1, 1, n_samples)
    means = branches(u)[rng.randint(0, 2, n_samples), np.arange(n_samples)]
    return u, rng.normal(means, NOISE)


def true_log_likelihood(target, u):
    return logsumexp(stats.norm(branches(u), NOISE).logpdf(target) - np.log(2), axis=0)


u_train, train = draw(2000)
u_test, test = draw(2000)

# %%
# A regressor, and a model of the distribution
# --------------------------------------------
# The regressor is a random forest. For a density of its own it has a normal noise,
# whose standard deviation is that of its errors in cross-validation. The VAE gets the
# targets as X, a column, and the inputs as y: floats, hence values and not labels.

forest = RandomForestRegressor(min_samples_leaf=100, random_state=0)
errors = train - cross_val_predict(forest, u_train[:, None], train)
forest.fit(u_train[:, None], train)
regressor = stats.norm(forest.predict(u_test[:, None]), errors.std())

vae = ConditionalGaussianVAE(n_components=2, random_state=0)
vae.fit(train[:, None], u_train)

# %%
# The log-likelihood of a VAE is estimated by importance sampling; its score is a lower
# bound on it. The true one is known here. The regressor is far below, and another one
# would be, too: it predicts the mean well, but the mean is not where the targets are.

print("Log-likelihood of new targets, nats a row")
print(f"Random forest, normal noise: {regressor.logpdf(test).mean():7.3f}")
print(f"Conditional VAE, bound:      {vae.score(test[:, None], u_test):7.3f}")
estimate = vae.log_likelihood(test[:, None], u_test, random_state=0).mean()
print(f"Conditional VAE:             {estimate:7.3f}")
print(f"The truth:                   {true_log_likelihood(test, u_test).mean():7.3f}")

# %%
# Samples and densities
# ---------------------
# The first two panels show data, and samples of the VAE for the same inputs. The third
# shows the density of the target at one input. The decoder is continuous: where z goes
# from one branch to the other, it leaves a little density between them.

samples = vae.sample(y=u_test, random_state=0)[:, 0]
figure, axes = plt.subplots(ncols=3, figsize=(12, 3.8), layout="constrained")
line = np.linspace(-1, 1, 200)
for ax, values, title in [
    (axes[0], test, "Data, and what the regressor predicts"),
    (axes[1], samples, "Samples of the conditional VAE"),
]:
    ax.scatter(u_test, values, s=3, alpha=0.5, color="tab:gray")
    ax.set(title=title, xlabel="input u", ylim=(-2.2, 2.2))
axes[0].plot(line, forest.predict(line[:, None]), color="tab:red", label="forest")
axes[0].legend()
axes[0].set_ylabel("target")

at = 0.6
grid = np.linspace(-2, 2.2, 300)
same = np.full(len(grid), at)
log_p = vae.log_likelihood(grid[:, None], same, 10_000, random_state=0)
mean = forest.predict([[at]])
axes[2].plot(grid, np.exp(true_log_likelihood(grid, same)), "k--", label="truth")
axes[2].plot(grid, np.exp(log_p), color="tab:blue", label="conditional VAE")
normal = stats.norm(mean, errors.std())
axes[2].plot(grid, normal.pdf(grid), ":", color="tab:red", label="forest, normal noise")
title = f"Density of the target at u = {at}"
axes[2].set(title=title, xlabel="target", ylim=(0, 2))
axes[2].legend()

# __file__ is not defined when sphinx-gallery runs this file and shows the figure.
if "__file__" in globals():
    path = Path("multimodal_regression.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
