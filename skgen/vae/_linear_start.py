"""Where training starts: least squares and probabilistic PCA, in closed form."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from skgen.base._standardization import LEAST_NOISE


@dataclass(frozen=True)
class Regression:
    r"""The mean of x given conditions y, :math:`B y + m`.

    Attributes
    ----------
    weight : ndarray of shape (n_features, n_conditions)
        B.
    intercept : ndarray of shape (n_features,)
        m.
    """

    weight: np.ndarray
    intercept: np.ndarray

    def residuals(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return what it leaves of x, shape (n_samples, n_features)."""
        residuals = y @ self.weight.T
        np.subtract(x, residuals, out=residuals)
        residuals -= self.intercept
        return residuals


@dataclass(frozen=True)
class LinearModel:
    r"""A linear model with Gaussian noise, and its exact posterior.

    .. math:: x \sim \mathcal{N}(W z, \operatorname{diag} \sigma^2), \quad
              q(z \mid x) = \mathcal{N}(A x, \operatorname{diag} v), \quad
              M = I + W^\top \operatorname{diag}(\sigma^{-2}) W, \quad
              A = M^{-1} W^\top \operatorname{diag}(\sigma^{-2}), \quad
              v_j = (M^{-1})_{jj}

    (Tipping & Bishop, "Probabilistic principal component analysis", JRSS B 61, 1999).

    Attributes
    ----------
    weight : ndarray of shape (n_features, n_latents)
        W, whose columns are 0 for latents that are not used.
    noise_variance : ndarray of shape (n_features,)
        :math:`\sigma^2`.
    floor : ndarray of shape (n_features,)
        Least values of :math:`\sigma^2` in training.
    n_used : int
        Number of latents that are used: the first ones.
    """

    weight: np.ndarray
    noise_variance: np.ndarray
    floor: np.ndarray
    n_used: int

    @torch.no_grad()
    def set_(
        self,
        encoder: nn.Linear,
        decoder: nn.Linear,
        regression: Regression | None = None,
    ) -> None:
        """Set the parameters of a linear encoder and decoder.

        Parameters
        ----------
        encoder, decoder : nn.Linear
            The maps, changed in place.
        regression : Regression or None
            If there is one, the model is one of its residuals, and the last inputs of
            both maps are the conditions.
        """
        n_features, n_latents = self.weight.shape
        by_noise = self.weight.T / self.noise_variance
        inverse = np.linalg.inv(np.eye(n_latents) + by_noise @ self.weight)
        to_mean = inverse @ by_noise
        weight, bias = _zero(encoder)
        weight[:n_latents, :n_features] = torch.from_numpy(to_mean)
        bias[n_latents:] = torch.from_numpy(np.log(np.diag(inverse)))
        of_x, of_mean = weight, bias
        weight, bias = _zero(decoder)
        weight[:, :n_latents] = torch.from_numpy(self.weight)
        if regression is not None:
            weight[:, n_latents:] = torch.from_numpy(regression.weight)
            bias.copy_(torch.from_numpy(regression.intercept))
            by_y = -to_mean @ regression.weight
            of_x[:n_latents, n_features:] = torch.from_numpy(by_y)
            of_mean[:n_latents] = torch.from_numpy(-to_mean @ regression.intercept)


def least_squares(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray | None
) -> Regression:
    r"""Regress x on conditions, by least squares with a penalty of one row's size.

    .. math:: B, m = \operatorname*{argmin} \sum_n w_n \|x_n - B y_n - m\|^2 + \|B\|^2

    The penalty makes the solution unique where conditions are collinear, as the bits of
    a label are, and shrinks the mean of a class of few rows.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Standardised data, float64.
    y : ndarray of shape (n_samples, n_conditions)
        Conditions, float64.
    weight : ndarray of shape (n_samples,) or None
        Sample weights, if there are any.

    Returns
    -------
    regression : Regression
        The mean of x given y.
    """
    x_mean, y_mean = (np.average(t, axis=0, weights=weight) for t in (x, y))
    x, y = x - x_mean, y - y_mean
    weighted = y if weight is None else weight[:, None] * y
    gram = weighted.T @ y + np.eye(y.shape[1])
    coefficients = np.linalg.solve(gram, weighted.T @ x).T
    return Regression(coefficients, x_mean - coefficients @ y_mean)


def probabilistic_pca(
    x: np.ndarray, n_latents: int, noise: float | None, floor: np.ndarray
) -> LinearModel:
    r"""Fit probabilistic PCA with the number of components of least BIC.

    With the eigenvalues :math:`\lambda_1 \ge \lambda_2 \ge \dots` of the covariance, k
    components and D features, the noise variance is the mean of the others, and

    .. math:: \mathrm{BIC}(k) = n \left[ \sum_{j \le k} \log \lambda_j
              + (D - k) \log \sigma^2 + D \right]
              + \left(D k - \tfrac{k (k-1)}{2} + 1\right) \log n

    (Schwarz, "Estimating the dimension of a model", Annals of Statistics 6, 1978). They
    are fewer than half of the rows. Afterwards each feature has the noise variance that
    its own variance leaves.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Centered data, float64. Rows with weights are multiplied by their roots.
    n_latents : int
        The largest number of components.
    noise : float or None
        A noise variance that is given, one for all features; as many components are
        used as have a larger variance. None means that there is one for each feature,
        to be estimated.
    floor : ndarray of shape (n_features,)
        Least noise variance of each feature. Where the linear model leaves less of a
        feature in rows that it has not seen, that is the least one.

    Returns
    -------
    model : LinearModel
        The linear model.
    """
    n_features = x.shape[1]
    values, vectors = _principal_axes(x, n_latents)
    total = np.square(x).sum() / len(x)
    if noise is None:
        n_used, common = _least_bic(values, total, len(x), n_features, n_latents)
    else:
        n_used, common = int((values[:n_latents] > noise).sum()), noise
    loadings = np.zeros((n_features, n_latents))
    roots = np.sqrt(np.maximum(values[:n_used] - common, 0))
    loadings[:, :n_used] = vectors[:, :n_used] * roots
    rest = np.full(n_features, common)
    if noise is None:
        rest = np.square(x).mean(axis=0) - np.square(loadings).sum(axis=1)
        if len(x) > 1 and (rest < floor).any():
            floor = np.minimum(floor, _unseen_rest(x, n_used))
    rest = np.maximum(rest, floor)
    loadings[:, :n_used] = _with_independent_posterior(loadings[:, :n_used], rest)
    return LinearModel(loadings, rest, floor, n_used)


def _unseen_rest(x: np.ndarray, n_used: int) -> np.ndarray:
    """Noise variances in half of the rows by the principal axes of the other half."""
    total = np.zeros(x.shape[1])
    halves = x[::2], x[1::2]
    for seen, unseen in (halves, halves[::-1]):
        axes = _principal_axes(seen, min(n_used, len(seen) - 1))[1]
        rest = np.square(unseen - unseen @ axes @ axes.T).mean(axis=0)
        # The noise within the subspace is the mean of that outside of it.
        common = rest.sum() / (len(rest) - axes.shape[1])
        total += rest + common * np.square(axes).sum(axis=1)
    return np.maximum(total / 2, LEAST_NOISE)


def _with_independent_posterior(loadings: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Rotate latents, so that their posterior covariance is diagonal.

    The distribution of x stays as it is, and q can be exact.
    """
    if not loadings.shape[1]:
        return loadings
    _, vectors = np.linalg.eigh(loadings.T @ (loadings / noise[:, None]))
    return loadings @ _with_one_sign(vectors[:, ::-1])


def _principal_axes(x: np.ndarray, n_axes: int) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalues of the covariance and their vectors, each with one sign."""
    n_rows, n_features = x.shape
    if n_rows < n_features:
        values, left = np.linalg.eigh(x @ x.T / n_rows)
        vectors = x.T @ left / np.sqrt(np.maximum(values, 1e-12) * n_rows)
    else:
        values, vectors = np.linalg.eigh(x.T @ x / n_rows)
    values, vectors = values[::-1], vectors[:, ::-1][:, :n_axes]
    return np.maximum(values, 0), _with_one_sign(vectors)


def _with_one_sign(vectors: np.ndarray) -> np.ndarray:
    """Choose the sign of each column such that its largest number is positive."""
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    return vectors * np.where(signs == 0, 1, signs)


def _least_bic(
    values: np.ndarray, total: float, n_rows: int, n_features: int, n_latents: int
) -> tuple[int, float]:
    """Number of components of the least BIC, and the noise variance."""
    best = np.inf, 0, 1.0
    smallest = 1e-9 * max(total / n_features, 1e-300)
    # With as many components as rows nothing would be left, whatever the data.
    n_most = min(n_latents, n_features - 1, (n_rows - 1) // 2)
    for k in range(n_most + 1):
        noise = max((total - values[:k].sum()) / (n_features - k), smallest)
        logs = np.log(np.maximum(values[:k], smallest)).sum()
        deviance = n_rows * (logs + (n_features - k) * np.log(noise) + n_features)
        n_parameters = n_features * k - k * (k - 1) / 2 + 1
        best = min(best, (deviance + n_parameters * np.log(n_rows), k, noise))
    return best[1], best[2]


def _zero(layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Set a layer to 0, and return its weight and bias."""
    return layer.weight.zero_(), layer.bias.zero_()
