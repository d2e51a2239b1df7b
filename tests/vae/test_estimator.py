"""GaussianVAE and BernoulliVAE: scores, latents, noise, binarization."""

import numpy as np
import pytest
import torch
from families import PLAIN
from scipy import stats
from scipy.sparse import csr_array
from sklearn.datasets import load_digits

from skgen import BernoulliVAE, GaussianVAE

X = (load_digits().data / 16)[:300]
BOTH = pytest.mark.parametrize("cls", [GaussianVAE, BernoulliVAE])


def quick(cls=GaussianVAE, **params):
    plain = PLAIN if cls is GaussianVAE else {}
    params = plain | {"n_components": 4, "n_iter": 3, "random_state": 0} | params
    return cls(**params)


pytestmark = pytest.mark.filterwarnings("ignore:Training of:Warning")


# Scores


@BOTH
def test_terms_of_the_elbo_add_up(cls):
    model = quick(cls).fit(X)
    reconstruction, kl = model.elbo_terms(X)
    assert reconstruction.shape == (300,)
    assert kl.shape == (300, 4)
    assert (kl >= 0).all()
    np.testing.assert_allclose(
        reconstruction - kl.sum(axis=1),
        model.score_samples(X),
        rtol=1e-12,
        atol=1e-12,  # some scores are near 0
    )


@BOTH
def test_score_does_not_depend_on_how_the_model_was_trained(cls):
    """beta, warm-up and batch size change the fit, and never the score of a model."""
    model = quick(cls).fit(X)
    score = model.score_samples(X)
    for params in ({"beta": 5.0}, {"n_warmup_iter": 50}, {"batch_size": 7}):
        assert np.array_equal(model.set_params(**params).score_samples(X), score)
        other = quick(cls, **params).fit(X)
        assert not np.array_equal(other.score_samples(X), score)
        other.weights_ = model.weights_
        if cls is GaussianVAE:
            other.noise_variance_ = model.noise_variance_
        assert np.array_equal(other.score_samples(X), score)


@BOTH
def test_score_keeps_its_digits_in_float32(cls):
    model = quick(cls, n_iter=20).fit(X)
    single = model.score_samples(X.astype(np.float32))
    np.testing.assert_allclose(single, model.score_samples(X), atol=2e-3, rtol=1e-4)


@BOTH
def test_score_of_many_rows_is_that_of_each(cls, monkeypatch):
    model = quick(cls).fit(X)
    score = model.score_samples(X)
    monkeypatch.setattr("skgen.vae._model._BLOCK", 5000)
    np.testing.assert_allclose(model.score_samples(X), score, rtol=1e-12)
    monkeypatch.setattr("skgen.base._blocks._BLOCK_SIZE", 640)
    np.testing.assert_allclose(model.score_samples(X), score, rtol=1e-12)


def test_error_of_the_score_over_seeds(monkeypatch):
    """The fixed points could have been others: that moves the mean by < 0.02 nats.

    As many independent draws move it by ten times as much.
    """
    from skgen.vae import _model

    model = quick(n_components=16, n_iter=60).fit(X)
    balanced = _model.balanced_normal

    def spread(points):
        scores = []
        for seed in range(8):
            monkeypatch.setattr(_model, "balanced_normal", points(seed))
            scores.append(model.score(X))
        return np.std(scores)

    def independent(seed):
        generator = torch.Generator().manual_seed(seed)
        return lambda n, d, seed: torch.randn(n, d, generator=generator)

    ours = spread(lambda s: lambda n, d, seed: balanced(n, d, seed=s))
    assert 0 < ours < 0.02
    assert spread(independent) > 10 * ours


@BOTH
def test_log_likelihood_is_above_the_elbo_and_rises(cls):
    model, few = quick(cls, n_iter=50, device="cpu").fit(X), X[:50]
    means = [model.log_likelihood(few, n).mean() for n in (10, 100, 1000)]
    assert model.score(few) < means[0] < means[1] < means[2] + 0.05
    again = model.log_likelihood(few, 100)
    np.testing.assert_array_equal(again, model.log_likelihood(few, 100))
    assert not np.array_equal(again, model.log_likelihood(few, 100, random_state=1))


# Latent variables


@BOTH
def test_encode_and_reconstruct(cls):
    model = quick(cls).fit(X)
    mean, std = model.encode(X)
    np.testing.assert_array_equal(mean, model.transform(X))
    assert std.shape == mean.shape
    assert (std > 0).all()
    np.testing.assert_allclose(
        model.reconstruct(X), model.inverse_transform(mean), rtol=1e-12
    )
    # The KL divergence that the two give is the one of elbo_terms.
    expected = 0.5 * (mean**2 + std**2 - 1) - np.log(std)
    np.testing.assert_allclose(model.elbo_terms(X)[1], expected, atol=1e-10)


def test_active_units():
    """Those whose KL divergence is above 0.1 nats in the mean over the data."""
    model = quick(
        n_components=10, n_iter=120, noise_variance=0.1, learning_rate=0.01
    ).fit(X)
    active = model.elbo_terms(X)[1].mean(axis=0) > 0.1
    np.testing.assert_array_equal(model.active_units_, active)
    assert model.active_units_.dtype == bool
    assert 5 <= model.active_units_.sum() <= 10
    noisy = quick(n_iter=60, noise_variance=2.0, learning_rate=0.01).fit(X)
    assert noisy.active_units_.sum() == 0


def test_samples_of_the_gaussian_have_its_law():
    """Without noise: means. With it: the noise has the variance that is stated."""
    model = quick().fit(X)
    mean, noisy = (model.sample(2000, noise=noise) for noise in (False, True))
    z = (noisy - mean) / np.sqrt(model.noise_variance_)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-4
    assert stats.kstest(1.05 * z.ravel(), "norm").pvalue < 1e-4


def test_samples_of_the_bernoulli_are_probabilities_or_bits():
    model = quick(BernoulliVAE).fit(X)
    mean, bits = (model.sample(3000, noise=noise) for noise in (False, True))
    assert set(np.unique(bits)) == {0, 1}
    assert ((mean > 0) & (mean < 1)).all()
    error = np.sqrt((mean * (1 - mean)).sum(axis=0)) / 3000
    assert (np.abs((bits - mean).mean(axis=0)) < 4.5 * error).all()


def test_samples_of_latents_are_standard_normal():
    """A linear decoder: samples are W z + b, of known mean and covariance."""
    model = quick(hidden_layer_sizes=(), n_iter=50).fit(X)
    b = model.inverse_transform(np.zeros((1, 4)))
    W = model.inverse_transform(np.eye(4)) - b
    means = model.sample(4000, noise=False)
    z = np.linalg.lstsq(W.T, (means - b).T, rcond=None)[0]
    for column in z:
        assert stats.kstest(column, "norm").pvalue > 1e-4
    assert np.abs(np.corrcoef(z) - np.eye(4)).max() < 4.5 / np.sqrt(4000)


# The noise variance


@pytest.mark.parametrize("noise_variance", ["learned", "per_feature"])
def test_learned_variance_is_the_best(noise_variance):
    """The closed form: moved either way, it lowers the score of the training data."""
    model = quick(noise_variance=noise_variance, n_iter=50).fit(X)
    best, score = model.noise_variance_, model.score(X)
    assert np.shape(best) == (() if noise_variance == "learned" else (64,))
    for factor in (0.99, 1.01):
        model.noise_variance_ = best * factor
        assert model.score(X) < score
    residual = np.mean((X - model.reconstruct(X)) ** 2)
    assert np.mean(best) > residual  # the spread of the posterior adds to it


def test_fixed_variance_stays():
    model = quick(noise_variance=0.2).fit(X)
    assert model.noise_variance_ == 0.2
    assert model.partial_fit(X).noise_variance_ == 0.2


def test_variance_has_a_floor():
    no_weights = {
        "weight_decay": 990.0,
        "n_iter": 50,
    }  # what remains is the mean of the data
    constant = np.ones((20, 3))
    assert quick(**no_weights).fit(constant).noise_variance_ == pytest.approx(1e-6)
    half = np.column_stack([constant[:, 0], np.arange(20.0)])
    model = quick(noise_variance="per_feature", **no_weights).fit(half)
    variance = half.var(axis=0)
    expected = [1e-6, variance[1]]  # a constant feature has no unit
    assert model.noise_variance_ == pytest.approx(expected, rel=1e-2)


def test_variance_with_a_warm_start():
    model = quick(warm_start=True).fit(X)
    for noise_variance, shape in [("per_feature", (64,)), ("learned", ()), (0.3, ())]:
        model.set_params(noise_variance=noise_variance).fit(X)
        assert np.shape(model.noise_variance_) == shape
    assert model.noise_variance_ == 0.3


@pytest.mark.parametrize("factor", [1e-3, 1e4])
def test_units_of_the_data_do_not_matter(factor):
    """Data in other units: the score moves by log of the units, and nothing else."""
    model = quick(precision="float64").fit(X)
    other = quick(precision="float64").fit(X * factor + 7 * factor)
    assert other.noise_variance_ == pytest.approx(factor**2 * model.noise_variance_)
    shift = 64 * np.log(factor)
    scaled = X * factor + 7 * factor
    assert other.score(scaled) + shift == pytest.approx(model.score(X), abs=1e-5)
    np.testing.assert_allclose(other.transform(scaled), model.transform(X), atol=1e-7)


# Binarization


def test_threshold():
    model = quick(BernoulliVAE, binarize="threshold").fit(X)
    bits = (X > 0.5).astype(float)
    np.testing.assert_array_equal(model.transform(X), model.transform(bits))
    np.testing.assert_array_equal(model.score_samples(X), model.score_samples(bits))
    plain = quick(BernoulliVAE).fit(bits)
    np.testing.assert_array_equal(plain.transform(bits), model.transform(X))


def test_sampled_bits_are_new_in_every_epoch(monkeypatch):
    from skgen.nn import BernoulliObservation

    seen = []
    gradient = BernoulliObservation.gradient

    def spy(self, x, f):
        seen.append(x.clone())
        return gradient(self, x, f)

    monkeypatch.setattr(BernoulliObservation, "gradient", spy)
    quick(BernoulliVAE, binarize="sample", batch_size=300, n_iter=20).fit(X)
    assert len(seen) == 20
    means = torch.stack([x.mean(0) for x in seen]).double().cpu().numpy()
    assert all(set(x.unique().tolist()) == {0, 1} for x in seen)
    # Means of a pixel differ from epoch to epoch, around those of the grey values.
    assert (means.std(axis=0)[X.std(axis=0) > 0.2] > 0).all()
    np.testing.assert_allclose(means.mean(axis=0), X.mean(axis=0), atol=0.03)


def test_scores_of_sampled_bits():
    model = quick(BernoulliVAE, binarize="sample").fit(X)
    score = model.score_samples(X)
    np.testing.assert_array_equal(score, model.score_samples(X))
    np.testing.assert_array_equal(score[::-1], model.score_samples(X[::-1]))
    assert not np.array_equal(score, model.set_params(binarize="none").score_samples(X))
    model.set_params(binarize="sample")
    bits = (X > 0.5).astype(float)
    given = model.score_samples(bits)  # bits are taken as they are
    np.testing.assert_array_equal(
        given, model.set_params(binarize="none").score_samples(bits)
    )


@pytest.mark.parametrize("binarize", ["none", "threshold", "sample"])
def test_sparse_grey_values(binarize):
    dense = quick(BernoulliVAE, binarize=binarize).fit(X)
    sparse = quick(BernoulliVAE, binarize=binarize).fit(csr_array(X))
    for name, value in dense.weights_.items():
        np.testing.assert_array_equal(value, sparse.weights_[name])
    for method in ("transform", "score_samples"):
        np.testing.assert_array_equal(
            getattr(dense, method)(X), getattr(sparse, method)(csr_array(X))
        )


def test_data_that_is_no_probability():
    with pytest.warns(UserWarning, match=r"Got X with values in \[-1, 1\].*Binarizer"):
        quick(BernoulliVAE).fit(2 * X - 1)
