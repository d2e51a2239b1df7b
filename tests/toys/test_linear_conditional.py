"""A family of p(x | y) with averaged weights, in one file below 60 lines."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from toys import linear_conditional
from toys.linear_conditional import LinearConditional

RNG = np.random.RandomState(0)
Y = RNG.normal(size=(500, 2))
B, M = np.array([[1.0, -0.5], [0.0, 2.0], [0.3, 0.3]]), np.array([0.5, -1.0, 0.0])
X = Y @ B.T + M + RNG.normal(size=(500, 3))


def test_a_family_is_one_short_file():
    assert len(Path(linear_conditional.__file__).read_text().splitlines()) < 60


def test_the_contributing_guide_shows_this_file():
    code = Path(linear_conditional.__file__).read_text()
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    assert len(blocks) == 2
    assert all(block.strip() in code for block in blocks)


def test_conditional_is_ordinary_least_squares():
    """In units of the standard error of the coefficients, 1 / sqrt(500)."""
    model = LinearConditional(learning_rate=0.02, n_iter=200, random_state=0).fit(X, Y)
    exact = LinearRegression().fit(Y, X)
    np.testing.assert_allclose(model.weights_["weight"], exact.coef_, atol=0.02)
    np.testing.assert_allclose(model.weights_["bias"], exact.intercept_, atol=0.02)
    # With the conditions in another order it is not.
    shuffled = LinearConditional(learning_rate=0.02, n_iter=200, random_state=0)
    shuffled.fit(X, Y[RNG.permutation(500)])
    assert np.abs(shuffled.weights_["weight"] - exact.coef_).max() > 0.5


def test_conditional_scores_log_p_of_x_given_y():
    model = LinearConditional(random_state=0).fit(X, Y)
    mean = Y @ model.weights_["weight"].T.astype(float) + model.weights_["bias"]
    expected = stats.norm(mean).logpdf(X).sum(1)
    np.testing.assert_allclose(model.score_samples(X, Y), expected, rtol=1e-9)
    assert model.score(X, Y) == pytest.approx(expected.mean())


def test_the_averaged_copy_is_what_is_kept():
    model = LinearConditional(random_state=0, n_iter=3).fit(X, Y)
    net = model.net_
    average = net.criterion_.average.module.weight.detach().cpu().numpy()
    np.testing.assert_array_equal(model.weights_["weight"], average)
    assert net.criterion_.average.n_averaged == 30
    # It lags behind the weights, which start at 0.
    faster = LinearConditional(random_state=0, n_iter=3)
    faster._read_state = lambda state, phase: {
        "weights_": {
            name: p.detach().cpu().numpy().copy()
            for name, p in phase.model.named_parameters()
        }
    }
    raw = faster.fit(X, Y).weights_["weight"]
    assert np.linalg.norm(raw) > 1.05 * np.linalg.norm(average)


def test_conditional_requires_y():
    with pytest.raises(ValueError, match="LinearConditional requires y"):
        LinearConditional().fit(X, None)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LinearConditional().fit(X, Y[:-1])
