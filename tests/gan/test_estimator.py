"""GAN: what it learns, what it goes on from, and what it may be given."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from skgen import GAN

RNG = np.random.RandomState(0)
X = RNG.standard_normal((120, 3)) @ np.array([[1, 0.8, 0], [0, 0.6, 0], [0, 0, 1]])


def small(**params):
    given = {
        "hidden_layer_sizes": (16,),
        "batch_size": 30,
        "n_iter": 4,
        "device": "cpu",
        "random_state": 0,
    }
    return GAN(**given | params)


def assert_same_bits(one, other):
    states = [
        {**m.weights_, **{f"last {k}": v for k, v in m._last_weights.items()}}
        for m in (one, other)
    ]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name], err_msg=name)
    assert one._n_steps == other._n_steps


# What it learns


@pytest.fixture(scope="module")
def of_two_clusters():
    """Two clusters 20 standard deviations apart, in any units."""
    rng = np.random.RandomState(0)
    rows = np.where(rng.uniform(size=(1500, 1)) < 0.7, [1.0, -2.0], [-1.0, 2.0])
    rows = rows + 0.1 * rng.standard_normal(rows.shape)
    gan = GAN(hidden_layer_sizes=(32, 32), n_iter=80, random_state=0)
    return rows, gan.fit(rows)


def test_two_clusters_with_their_shares(of_two_clusters):
    """After 480 steps."""
    _, gan = of_two_clusters
    drawn = gan.sample(4000, random_state=1)
    right = drawn[:, 0] > 0
    assert 0.6 < right.mean() < 0.8
    for side, center in ((right, (1, -2)), (~right, (-1, 2))):
        np.testing.assert_allclose(np.median(drawn[side], axis=0), center, atol=0.1)
        assert (np.linalg.norm(drawn[side] - center, axis=1) < 0.5).mean() > 0.75


def test_score_prefers_the_law_of_the_data(of_two_clusters):
    rows, gan = of_two_clusters
    untrained = GAN(hidden_layer_sizes=(32, 32), n_iter=0, random_state=0).fit(rows)
    little = GAN(hidden_layer_sizes=(32, 32), n_iter=8, random_state=0).fit(rows)
    assert gan.score(rows) > little.score(rows) > untrained.score(rows)


def test_samples_are_what_the_generator_makes_of_noise(of_two_clusters):
    _, gan = of_two_clusters
    z = np.random.RandomState(3).standard_normal((5, 2)).astype(np.float32)
    drawn = gan.sample(5, random_state=3)
    assert drawn.dtype == np.float64
    np.testing.assert_allclose(gan.inverse_transform(z), drawn, rtol=1e-5)
    with pytest.raises(ValueError, match="Got H with 3 columns, but expected 2, one"):
        gan.inverse_transform(np.zeros((2, 3)))


def test_what_a_gan_cannot_do_is_absent():
    for name in ("transform", "log_likelihood", "impute", "get_feature_names_out"):
        assert not hasattr(GAN(), name)


@pytest.mark.parametrize("loss", ["relativistic", "wasserstein"])
def test_units_and_offsets_do_not_matter(loss):
    scale, offset = np.array([1e-3, 1.0, 1e4]), np.array([5.0, 1e3, -1e6])
    one = small(loss=loss).fit(X)
    other = small(loss=loss).fit(X * scale + offset)
    got = (other.sample(50) - offset) / scale
    np.testing.assert_allclose(got, one.sample(50), atol=1e-3)
    assert other.score(X * scale + offset) == pytest.approx(one.score(X), abs=1e-4)


def test_constant_columns_stay_constant():
    rows = np.column_stack([X, np.full(len(X), 3.5), np.zeros(len(X))])
    drawn = small().fit(rows).sample(20)
    np.testing.assert_array_equal(drawn[:, 3:], np.tile([3.5, 0.0], (20, 1)))
    assert (drawn[:, :3].std(axis=0) > 0).all()


def test_outliers_and_few_rows():
    bad = X.copy()
    bad[0, 1] = 1e9
    with pytest.warns(UserWarning, match="column 1 has 1 up to"):
        gan = small().fit(bad)
    assert np.isfinite(gan.sample(10)).all()
    assert np.abs(gan.sample(200)).max() < 1e3
    for n_rows in (1, 2, 5):
        gan = small(n_iter=2).fit(X[:n_rows])
        assert np.isfinite(gan.score_samples(X)).all()


def test_y_is_not_used():
    assert_same_bits(small().fit(X), small().fit(X, np.arange(len(X))))


def test_early_stopping_restores_the_best_epoch():
    """After 200 steps without an improvement by 10, that is the first one."""
    params = {"early_stopping": True, "batch_size": 120, "tol": 10.0}
    params |= {"learning_rate_schedule": "constant", "hidden_layer_sizes": (4,)}
    gan = small(n_iter=250, **params).fit(X)
    assert gan.n_iter_ == 201
    assert_same_bits(gan, small(n_iter=1, **params).fit(X))


# What it goes on from

RESUMED = {
    "relativistic": {},
    "wasserstein": {"loss": "wasserstein", "n_critic": 3},
    "average": {"ema_decay": 0.5, "n_critic": 2},
}


@pytest.mark.parametrize("params", RESUMED.values(), ids=RESUMED)
@pytest.mark.parametrize("way", ["live", "pickle"])
def test_resumed_fits_have_the_bits_of_one(params, way):
    """Both players, their moments and steps, the average and whose turn it is."""
    constant = {"learning_rate_schedule": "constant", **params}
    whole = small(n_iter=5, **constant).fit(X)
    gan = small(n_iter=2, warm_start=True, **constant).fit(X)
    if way == "pickle":
        gan = pickle.loads(pickle.dumps(gan))
    gan.set_params(n_iter=3).fit(X)
    assert_same_bits(gan, whole)
    np.testing.assert_array_equal(gan.sample(9), whole.sample(9))


@pytest.mark.parametrize("lost", ["generator", "critic", "_n_steps"])
def test_a_resumed_fit_needs_all_of_it(lost):
    """The wrong twins: without the moments of a player, or its turn, bits differ."""
    constant = {"learning_rate_schedule": "constant", "n_critic": 3, "warm_start": True}
    gan, twin = (
        pickle.loads(pickle.dumps(small(n_iter=2, **constant).fit(X))) for _ in range(2)
    )
    if lost == "_n_steps":
        gan._n_steps = 0
    else:
        entries = gan._training_states[""]["optimizers"]["optimizer"]["entries"]
        gone = [name for name in entries if name.startswith(lost)]
        assert gone
        for name in gone:
            del entries[name]
    one, other = gan.fit(X)._last_weights, twin.fit(X)._last_weights
    assert not all(np.array_equal(one[name], other[name]) for name in one)


def test_each_player_has_a_group_of_its_own():
    gan = small(n_critic=2).fit(X)
    optimizer = gan.net_.optimizer_
    groups = [{id(p) for p in group["params"]} for group in optimizer.param_groups]
    players = gan.net_.module_.generator, gan.net_.module_.critic
    for player in players:
        assert {id(p) for p in player.parameters()} in groups
    steps = [
        {int(optimizer.state[p]["step"]) for p in player.parameters()}
        for player in players
    ]
    assert steps == [{8}, {16}]
    assert gan._n_steps == 16


def test_partial_fit_goes_on_with_both_players():
    one = small(learning_rate_schedule="constant", n_critic=3)
    for _ in range(3):
        one.partial_fit(X)
    two = small(learning_rate_schedule="constant", n_critic=3)
    two.partial_fit(X)
    two = pickle.loads(pickle.dumps(two)).partial_fit(X).partial_fit(X)
    assert_same_bits(one, two)


def test_a_fit_cannot_go_on_with_other_networks():
    gan = small(warm_start=True).fit(X)
    with pytest.raises(ValueError, match="Got n_components=5, but the fit goes on"):
        gan.set_params(n_components=5).fit(X)


# What it may be given


@pytest.mark.parametrize(
    ("loss", "n_features", "penalty"),
    [
        ("relativistic", 1, 0.1),
        ("relativistic", 2, 0.1),
        ("relativistic", 30, 1.5),
        ("relativistic", 200, 5.0),
        ("wasserstein", 30, 1.0),
    ],
)
def test_penalty_by_the_number_of_features(loss, n_features, penalty):
    rows = np.random.RandomState(0).standard_normal((20, n_features))
    gan = small(loss=loss).fit(rows)
    assert gan.net_.criterion_.penalty == pytest.approx(penalty)


def test_convolutions_of_images():
    rows = load_digits().data[:60]
    gan = small(architecture="conv", image_shape=(8, 8), n_components=4).fit(rows)
    assert gan.sample(3).shape == (3, 64)
    assert gan._units.has_one_scale
    np.testing.assert_array_equal(gan.sample(3)[:, 0], 0)  # no digit has ink there
    assert any(p.ndim == 4 for p in gan.net_.module_.critic.parameters())
    assert np.isfinite(gan.score(rows))
    with pytest.raises(ValueError, match=r"Got image_shape=None with architecture='c"):
        small(architecture="conv").fit(rows)


class Noisy(nn.Module):
    """A network of a user that draws, and keeps means as batch norm does."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_in, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, n_out)
        )

    def forward(self, x):
        return self.layers(x)


def test_own_networks():
    critic = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.2), nn.Linear(4, 1))
    before = [p.detach().clone() for p in critic.parameters()]
    state = torch.get_rng_state()
    one, two = (small(generator=Noisy, critic=critic).fit(X) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert_same_bits(one, two)
    np.testing.assert_array_equal(one.sample(4), two.sample(4))
    assert not np.array_equal(one.weights_["layers.1.running_mean"], np.zeros(8))
    for kept, parameter in zip(before, critic.parameters(), strict=True):
        assert torch.equal(kept, parameter)
    loaded = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(loaded.sample(4), one.sample(4))
    assert_same_bits(loaded.partial_fit(X), one.partial_fit(X))


def test_own_networks_of_other_widths():
    with pytest.raises(ValueError, match=r"Got critic=Linear, whose output .* \(2, "):
        small(critic=nn.Linear(3, 2)).fit(X)
    with pytest.raises(ValueError, match="Got generator=Linear, which fails"):
        small(generator=nn.Linear(9, 3)).fit(X)


@pytest.mark.parametrize("loss", ["relativistic", "wasserstein"])
def test_bfloat16(loss):
    exact, rounded = (
        small(loss=loss, precision=p).fit(X) for p in ("float32", "bfloat16")
    )
    assert {a.dtype for a in rounded.weights_.values()} == {np.dtype("float32")}
    assert rounded.score(X) == pytest.approx(exact.score(X), abs=0.1)
    assert rounded.score(X) != exact.score(X)


def test_smooth_activations_and_no_hidden_layers():
    for params in ({"activation": "silu"}, {"hidden_layer_sizes": ()}):
        assert np.isfinite(small(**params).fit(X).score(X))


def test_number_of_steps():
    gan = GAN()
    assert gan._number_of_epochs("auto", 100) == 2000
    assert gan._number_of_epochs("auto", 1500) == 3000 // 6
    assert gan._number_of_epochs("auto", 1_000_000) == 2  # of 3907 steps
    assert gan._number_of_epochs(7, 100) == 7


def test_warns_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small().fit(X).score(X)
