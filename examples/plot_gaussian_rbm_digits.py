"""
======================================================================
Gaussian restricted Boltzmann machine of digits: samples and filled-in
======================================================================

A :class:`skgen.GaussianRBM` learns the grey values of the 8 × 8 digits of scikit-learn:
a mixture of Gaussians, one for each state of its binary hidden units. Its likelihood of
held-out images is bracketed, and compared with that of one Gaussian. The figure shows
samples, and images whose lower half was drawn given the upper one.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skgen import GaussianRBM
from skgen.plotting import ImageGridDisplay

# %%
# Data
# ----
# The pixels are integers from 0 to 16. A density of integers could be made as large as
# one likes by narrow peaks at them. Uniform noise is therefore added: the log-density
# of the sum is at most the log-probability of the integers. The training images come
# several times, each time with other noise.

X = load_digits().data
rng = np.random.default_rng(0)
order = rng.permutation(len(X))
train, test = X[order[:1437]], X[order[1437:]]
X_train = np.concatenate([train + rng.uniform(size=train.shape) for _ in range(20)])
X_test = test + rng.uniform(size=test.shape)

# %%
# Training
# --------
# Each pixel has a noise variance of its own, which is learned. Columns need not be
# scaled before: the model does so inside, and its parameters and densities are in the
# units of the data.

rbm = GaussianRBM(
    n_components=256,
    learning_rate=0.05,
    n_chains=300,
    n_iter=14,
    random_state=0,
)
rbm.fit(X_train)

# %%
# Likelihood
# ----------
# The partition function is estimated by annealing from independent pixels to the model,
# and back. The two directions err to opposite sides, and bracket the likelihood.

rbm.log_partition_function("ais", n_chains=100, n_temperatures=1000, random_state=0)
lower, upper = (ends.mean() for ends in rbm.log_likelihood_bounds(X_test))
gaussian = max(PCA(n).fit(X_train).score(X_test) for n in (20, 40, 63))
print(f"Held-out nats per image: GaussianRBM between {lower:.1f} and {upper:.1f}")
print(f"                         probabilistic PCA {gaussian:.1f}")

# %%
# Samples
# -------
# The samples are those of the density, with the noise of the pixels. The same ones are
# also shown without it, as means of the pixels given the hidden units. In the last
# panel, the lower half of the held-out images of the first one is drawn from its
# distribution given the upper half, once for each image.

samples = rbm.sample(40, random_state=0)
without_noise = rbm.inverse_transform(rbm.transform(samples))
halves = X_test[:40].copy()
halves[:, 32:] = np.nan
filled = rbm.sample(given=halves, random_state=0)

figure, axes = plt.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
for ax, title, images in [
    (axes[0, 0], "Held-out digits", X_test[:40]),
    (axes[0, 1], "Lower half drawn, given the upper", filled),
    (axes[1, 0], "Samples", samples),
    (axes[1, 1], "Samples without noise", without_noise),
]:
    ImageGridDisplay.from_array(
        images, n_columns=8, vmin=0, vmax=17, title=title, ax=ax
    )

# __file__ is not defined when sphinx-gallery runs this file and shows the figures.
if "__file__" in globals():
    path = Path("gaussian_rbm_digits.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
