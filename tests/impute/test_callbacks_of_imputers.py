"""Callbacks of scikit-learn 1.9 that follow the fit of an imputer."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from test_contract_fit_tasks import Bars, Follows, opened_since, with_callbacks

from skgen import BernoulliRBMGPU, GaussianVAE
from skgen.impute import GenerativeImputer

pytestmark = with_callbacks

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)) @ RNG.normal(size=(3, 4))
X[RNG.uniform(size=X.shape) < 0.2] = np.nan

MODELS = {
    "takes NaN": GaussianVAE(2, n_iter=2, hidden_layer_sizes=(4,), device="cpu"),
    "bits": BernoulliRBMGPU(4, n_iter=1, device="cpu"),
}


class FollowsModels(Follows):
    """Follows estimators into others, as a `sklearn.callback.ProgressBar` does."""

    max_propagation_depth = None


class Fills(Follows):
    """Fills a table at the end of each task."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.told.append(("end", context.task_name, context.task_id))
        self.scores_.append(fitted_estimator.transform(X))
        return (context.task_name, context.task_id) == self.stop_at


@pytest.fixture(params=MODELS)
def kind(request):
    return request.param


def imputer(kind, **params):
    options = {"max_iter": 3, "n_gibbs_steps": 5, "random_state": 0}
    return GenerativeImputer(MODELS[kind], **options, **params)


def test_a_fit_is_followed(kind):
    """Each fit of the model, with an imputer as if the fit had ended."""
    fills = Fills()
    model = imputer(kind).set_callbacks(fills).fit(X)
    twin = imputer(kind).fit(X)
    np.testing.assert_array_equal(model.transform(X), twin.transform(X))
    n = 3 if kind == "bits" else 1
    parts = [(way, "fit-model", i) for i in range(n) for way in ("begin", "end")]
    assert fills.told == [
        "setup",
        ("begin", "fit", 0),
        *parts,
        ("end", "fit", 0),
        "teardown",
    ]
    assert np.isfinite(fills.scores_).all()
    np.testing.assert_array_equal(fills.scores_[-1], model.transform(X))
    assert len({filled.tobytes() for filled in fills.scores_[:-1]}) == n
    n_told = len(fills.told)
    model.set_callbacks().fit(X)
    assert len(fills.told) == n_told


def test_what_callbacks_get(kind):
    follows, weight = Follows(), np.linspace(0.5, 1.5, 40)
    imputer(kind).set_callbacks(follows).fit(X, sample_weight=weight)
    for x, y, metadata in follows.seen:
        assert x is X
        assert y is X
        assert metadata["sample_weight"] is weight


def test_a_callback_that_follows_models_sees_their_epochs(kind):
    follows = FollowsModels()
    model = imputer(kind).set_callbacks(follows).fit(X)
    n = 3 if kind == "bits" else 2
    assert follows.count("begin", "epoch") == follows.count("end", "epoch") == n
    assert follows.told[-2:] == [("end", "fit", 0), "teardown"]
    names = [name for name in vars(model.estimator_) if "callback" in name]
    assert names == ["callbacks"]  # the parameter
    inside = FollowsModels()
    make_pipeline(imputer(kind)).set_callbacks(inside).fit(X)
    assert inside.count("end", "epoch") == n


def test_a_callback_stops_the_rounds():
    fills = Fills(stop_at=("fit-model", 1))
    model = imputer("bits").set_callbacks(fills).fit(X)
    assert model.n_iter_ == fills.count("end", "fit-model") == 2
    assert np.isfinite(model.transform(X)).all()
    assert not model.estimator_.warm_start


def test_nothing_to_fit_is_a_fit():
    follows = Follows()
    imputer("takes NaN").set_callbacks(follows).fit(np.full((5, 2), 3.0))
    assert follows.told == ["setup", ("begin", "fit", 0), ("end", "fit", 0), "teardown"]


@pytest.mark.parametrize("error", [ValueError("diverged"), KeyboardInterrupt()])
def test_nothing_stays_open_after_a_fit_that_ends_early(kind, error, monkeypatch):
    def fails(*args):
        raise error

    before = opened_since(0)
    follows = Bars()
    model = imputer(kind).set_callbacks(follows)
    monkeypatch.setattr(type(MODELS[kind]), "_read_state", fails)
    with pytest.raises(type(error)):
        model.fit(X)
    assert opened_since(before)[0] == 0
    assert follows.told[-1] == "teardown"
    assert [name for name in vars(model) if "callback" in name] == ["_skl_callbacks"]


def test_copies_and_pickles(kind):
    follows = Follows()
    model = imputer(kind).set_callbacks(follows)
    assert clone(model)._skl_callbacks == [follows]
    assert len(pickle.loads(pickle.dumps(model))._skl_callbacks) == 1
    model.fit(X)
    assert clone(model)._skl_callbacks == [follows]
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert not [name for name in vars(twin) if "callback" in name]
        np.testing.assert_array_equal(twin.transform(X), model.transform(X))
