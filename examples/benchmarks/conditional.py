"""Conditional VAEs of the digits: held-out likelihood, and accuracy of Bayes' rule.

The digits are 1437 and 360 rows of grey values with uniform noise, so that the density
bounds the probability of the integers. The linear model, of standardised pixels, stands
beside its optimum in closed form: class means, and probabilistic PCA of what they
leave. All scores are in nats a row, in grey levels. Prints one line for each model, and
takes some minutes with one thread.

    python examples/benchmarks/conditional.py
"""

import argparse
import time

import numpy as np
from scipy.special import logsumexp
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skgen import ConditionalGaussianVAE, GaussianVAE


class ClosedForm:
    """Class means, and probabilistic PCA of the residuals; one covariance for all."""

    def __init__(self, n_components):
        self.pca = PCA(n_components, svd_solver="full")

    def fit(self, X, y):
        self.classes_, counts = np.unique(y, return_counts=True)
        self.means = np.stack([X[y == c].mean(axis=0) for c in self.classes_])
        self.pca.fit(X - self.means[np.searchsorted(self.classes_, y)])
        self.log_prior = np.log(counts / len(y))
        return self

    def score_classes(self, X):
        given = [self.pca.score_samples(X - mean) for mean in self.means]
        return np.stack(given, axis=1) + self.log_prior

    def score(self, X, y):
        index = np.searchsorted(self.classes_, y)
        scores = self.score_classes(X) - self.log_prior
        return scores[np.arange(len(y)), index].mean()

    def score_without_y(self, X):
        return logsumexp(self.score_classes(X), axis=1).mean()

    def predict(self, X):
        return self.classes_[self.score_classes(X).argmax(axis=1)]


def digits(seed):
    X, y = load_digits(return_X_y=True)
    X = X + np.random.RandomState(seed).uniform(size=X.shape)
    order = np.random.default_rng(seed).permutation(len(X))
    train, test = order[:1437], order[1437:]
    return X[train], X[test], y[train], y[test]


def models(n_iter):
    linear = {
        "hidden_layer_sizes": (),
        "noise_variance": "learned",
        "learning_rate": 0.01,
        "n_iter": n_iter or 400,
        "random_state": 0,
    }
    params = {"random_state": 0} | ({"n_iter": n_iter} if n_iter else {})
    for q in (8, 32):
        yield f"closed form, {q} latents", ClosedForm(q)
        yield f"linear, {q} latents", ConditionalGaussianVAE(q, **linear)
    for q in (16, 32):
        yield f"networks, {q} latents", ConditionalGaussianVAE(q, **params)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-iter", type=int, help="number of epochs, to try it out")
    args = parser.parse_args()
    train, test, y_train, y_test = digits(args.seed)
    location, scale = train.mean(axis=0), train.std(axis=0)
    train, test = ((x - location) / scale for x in (train, test))
    log_scale = np.log(scale).sum()
    print("model: log p(x | y) or a bound, of x alone, accuracy, seconds of the fit")
    for name, model in models(args.n_iter):
        start = time.perf_counter()
        model.fit(train, y_train)
        seconds = time.perf_counter() - start
        if isinstance(model, ClosedForm):
            alone = model.score_without_y(test)
        else:
            alone = model.score(test)
        accuracy = (model.predict(test) == y_test).mean()
        score, alone = model.score(test, y_test) - log_scale, alone - log_scale
        row = f"{score:8.2f} {alone:8.2f} {accuracy:.4f} {seconds:6.1f}"
        print(f"{name + ':':28} {row}", flush=True)
        if name.startswith("networks"):
            few = model.log_likelihood(test, y_test, 200, random_state=0).mean()
            few = few - log_scale
            print(f"{'  importance weighted, 200:':28} {few:8.2f}", flush=True)
    params = {"n_iter": args.n_iter} if args.n_iter else {}
    start = time.perf_counter()
    plain = GaussianVAE(16, random_state=0, **params).fit(train)
    seconds = time.perf_counter() - start
    score = plain.score(test) - log_scale
    print(f"{'GaussianVAE, 16 latents:':28} {'':8} {score:8.2f} {'':6} {seconds:6.1f}")


if __name__ == "__main__":
    main()
