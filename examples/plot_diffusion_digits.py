"""
=======================================================
Diffusion model: digits of a class, and how they emerge
=======================================================

A :class:`skgen.ConditionalDiffusionModel` learns the distribution of images of digits
given their class. The figure shows samples of each class, the same noise with more and
more guidance, and the lower halves of held-out digits drawn given the upper halves.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skgen import ConditionalDiffusionModel

# %%
# Data and training
# -----------------
# Grey values are integers, which have no density: uniform noise of their width is
# added. A tenth of the training rows is held out, and training ends when their bound
# no longer rises.

X, y = load_digits(return_X_y=True)
X = X + np.random.RandomState(0).uniform(size=X.shape)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.2, random_state=0, stratify=y
)
model = ConditionalDiffusionModel(n_iter=250, random_state=0).fit(X_train, y_train)
print(f"Epochs: {model.n_iter_}")

# %%
# Likelihood
# ----------
# In nats for an image, of some held-out ones.

few, labels = X_test[:50], y_test[:50]
log_p, error = model.log_likelihood(few, labels, n_steps=16, return_error=True)
print(f"log p(x | y): flow {log_p.mean():.1f}, with an error of {error.mean():.2f}")
print(f"              bound {model.score(few, labels):.1f}")
print(f"log p(x):     bound {model.score(few):.1f}")
accuracy = (model.predict(few) == labels).mean()
print(f"Accuracy of Bayes' rule by the bound: {accuracy:.2f}")

# %%
# Samples, guidance, and missing halves
# -------------------------------------
# Some guidance makes digits clearer; with much of it they leave the range of grey
# values.

digits = np.arange(10)
samples = [model.sample(y=digits, random_state=seed) for seed in range(4)]
guided = [
    model.sample(y=digits, guidance=weight, random_state=0)
    for weight in (0.0, 1.0, 3.0)
]
whole = np.stack([X_test[y_test == digit][0] for digit in digits])
gaps = whole.copy()
gaps[:, 32:] = np.nan
filled = [
    model.sample(given=gaps, y=digits, n_steps=24, random_state=seed)
    for seed in range(2)
]

rows = {
    "samples": samples,
    "guidance 0, 1, 3": guided,
    "held out, and two\ndrawn lower halves": [whole, *filled],
}
n_rows = sum(map(len, rows.values()))
figure, axes = plt.subplots(n_rows, 10, figsize=(6.5, 0.52 * n_rows))
at = iter(axes)
for title, images in rows.items():
    for k, ten in enumerate(images):
        line = next(at)
        for axis, image in zip(line, ten, strict=True):
            axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=17)
            axis.set(xticks=[], yticks=[])
        if k == len(images) // 2:
            line[0].set_ylabel(title, rotation=0, ha="right", va="center")
figure.subplots_adjust(left=0.24, right=0.99, top=0.99, bottom=0.01, hspace=0.1)

# __file__ is not defined when sphinx-gallery runs this file and shows the figures.
if "__file__" in globals():
    path = Path("diffusion_digits.png").resolve()
    figure.savefig(path, dpi=150)
    print(f"Figure: {path}")
