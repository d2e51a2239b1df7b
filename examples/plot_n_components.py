"""
=====================================================
How many latent variables? Choosing them by the score
=====================================================

Data that lie near a surface of two dimensions need two latent variables. This example
draws points near such a surface in ten dimensions, fits variational autoencoders
(VAEs) with one to four latent variables, and finds two by the score of held-out rows.
A linear model needs more of them: a bent surface lies in no plane.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import cross_val_score

from skgen import GaussianVAE
from skgen.plotting import TrainingDisplay

# %%
# A bent surface in ten dimensions
# --------------------------------
# The ten columns are smooth functions of two hidden coordinates, plus noise.

rng = np.random.RandomState(0)
u = rng.uniform(-1, 1, (800, 2))
weights, phases = rng.normal(size=(2, 10)), rng.uniform(0, 2 * np.pi, 10)
X = np.sin(1.5 * u @ weights + phases) + rng.normal(0, 0.1, (800, 10))

# %%
# Scores by cross-validation
# --------------------------
# `PCA` is the linear model of the same kind: its score is the log-likelihood. A warning
# says that the VAE with one latent variable has not ended its training: to fold a line
# into the surface takes long, and never pays.

numbers = [1, 2, 3, 4]
scores, linear = [], []
for n in numbers:
    vae = GaussianVAE(
        n, noise_variance="learned", hidden_layer_sizes=(64, 64), random_state=0
    ).set_params(n_iter=150, learning_rate=6e-3)
    scores.append(cross_val_score(vae, X, cv=3))
    linear.append(cross_val_score(PCA(n), X, cv=3))
    print(
        f"{n} components: VAE {scores[-1].mean():6.2f} (a bound), "
        f"PCA {linear[-1].mean():6.2f} nats a row"
    )

# %%
# More than are needed
# --------------------
# A model with four latent variables spreads the two coordinates over all of them, and
# its score is lower. The mean KL divergence of a latent variable says how many nats it
# carries; one below 0.1 counts as unused.

vae.fit(X)
z, spread = vae.encode(X)
kl = (0.5 * (z**2 + spread**2 - 1) - np.log(spread)).mean(axis=0)
print(f"Latent variables in use: {len(np.flatnonzero(kl > 0.1))} of {len(kl)}")

figure, axes = plt.subplots(ncols=3, figsize=(12, 3.6), layout="constrained")
for name, values, style in [("VAE", scores, "o-"), ("PCA", linear, "s--")]:
    values = np.array(values)
    axes[0].errorbar(
        numbers, values.mean(axis=1), values.std(axis=1), fmt=style, label=name
    )
axes[0].set(
    xlabel="number of latent variables",
    ylabel="held-out score (nats per row)",
    title="Score by cross-validation",
    xticks=numbers,
)
axes[0].legend()
axes[1].bar(numbers, np.sort(kl)[::-1], color="0.5")
axes[1].set(
    xlabel="latent variables, in order",
    ylabel="mean KL divergence (nats)",
    title="Four latent variables: what each carries",
)
TrainingDisplay.from_estimator(
    vae, kind="elbo", title="Four latent variables: training", ax=axes[2]
)

# __file__ is not defined when sphinx-gallery runs this file and shows the figure.
if "__file__" in globals():
    path = Path("n_components.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
