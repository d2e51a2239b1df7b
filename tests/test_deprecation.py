"""Old names and old pickles work for one more release, and warn."""

import importlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from oracles import EnumeratedRBM
from rbm_helpers import SMALL, rbm
from sklearn.base import clone

import skgen
from skgen import BernoulliRBMGPU
from skgen._deprecation import moved_names

PICKLES = Path(__file__).parent / "pickles"
MOVED = [
    ("skgen.modules", "BernoulliRBM", "skgen.rbm"),
    ("skgen.modules", "ContrastiveDivergence", "skgen.rbm"),
    ("skgen.modules", "pseudo_log_likelihood", "skgen.rbm"),
    ("skgen.modules", "NegativeELBO", "skgen.vae"),
    ("skgen.modules", "kl_gaussians", "skgen.vae"),
    ("skgen.modules", "kl_standard_normal", "skgen.vae"),
    ("skgen.modules", "mlp", "skgen.nn"),
    ("skgen.modules", "Observation", "skgen.nn"),
    ("skgen.modules", "Objective", "skgen.training"),
    ("skgen.training", "AutocorrelationTime", "skgen.callbacks"),
    ("skgen.training", "FreeEnergyGap", "skgen.callbacks"),
    ("skgen.training", "LogLikelihood", "skgen.callbacks"),
    ("skgen.likelihood", "log_partition_exact", "skgen.rbm"),
    ("skgen.likelihood", "importance_weighted_bound", "skgen.vae"),
]


@pytest.mark.parametrize(("old", "name", "new"), MOVED)
def test_a_name_that_moved_is_found_where_it_was(old, name, new):
    with pytest.warns(FutureWarning, match=rf"{old}\.{name} is now {new}\.{name}"):
        found = getattr(importlib.import_module(old), name)
    assert found is getattr(importlib.import_module(new), name)


def test_every_name_that_moved_is_there():
    for module in ("modules", "training", "likelihood", "sampling"):
        module = importlib.import_module(f"skgen.{module}")
        table = module.__getattr__.__closure__
        names = next(
            c.cell_contents for c in table if isinstance(c.cell_contents, dict)
        )
        for name in names:
            with pytest.warns(FutureWarning, match="will be removed in version 0.4"):
                assert getattr(module, name) is not None
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            module.nothing  # noqa: B018


def test_moved_names_say_the_new_name():
    find = moved_names("old.place", {"pi_": "math:pi"})
    with pytest.warns(FutureWarning, match=r"old\.place\.pi_ is now math\.pi"):
        assert find("pi_") == np.pi


# Parameters of BernoulliRBMGPU


def test_keep_rungs_is_keep_trajectory():
    with pytest.warns(FutureWarning, match="keep_rungs .* is now keep_trajectory"):
        old = rbm(keep_rungs=True, learning_rate=0.5).fit(SMALL)
    new = rbm(keep_trajectory=True, learning_rate=0.5).fit(SMALL)
    assert old.trajectory_.keys() == new.trajectory_.keys()
    for name, kept in new.trajectory_.items():
        np.testing.assert_array_equal(old.trajectory_[name], kept)
    with pytest.warns(FutureWarning, match="rungs_ is now trajectory_"):
        assert new.rungs_ is new.trajectory_
    assert not hasattr(rbm().fit(SMALL), "rungs_")
    assert "rungs_" not in dir(new)
    with pytest.warns(FutureWarning, match="keep_rungs"):
        off = rbm(keep_rungs=False, keep_trajectory=True).fit(SMALL)
    assert not hasattr(off, "trajectory_")  # what is set by the old name counts


def test_compile_of_an_rbm_has_no_effect():
    with pytest.warns(FutureWarning, match="compile .* has no effect any more"):
        old = rbm(compile=True).fit(SMALL)
    new = rbm().fit(SMALL)
    np.testing.assert_array_equal(old.components_, new.components_)


def test_a_wrong_value_of_an_old_parameter_is_an_error():
    with pytest.raises(ValueError, match="'keep_rungs' parameter"):
        rbm(keep_rungs="yes").fit(SMALL)


def test_old_parameters_survive_clone_and_are_silent_otherwise():
    model = clone(rbm(keep_rungs=True))
    assert model.get_params()["keep_rungs"] is True
    assert BernoulliRBMGPU().get_params()["keep_rungs"] == "deprecated"


# Pickles of version 0.1, written before the package was rearranged


@pytest.fixture(scope="module")
def answers():
    with np.load(PICKLES / "answers.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def data():
    from sklearn.datasets import load_digits

    X = load_digits().data[:100, 20:36] / 16
    return (X > 0.5).astype(float)


def load(name):
    return pickle.loads((PICKLES / f"{name}.pickle").read_bytes())


@pytest.mark.parametrize("name", ["rbm", "rbm_rungs", "gaussian_vae", "bernoulli_vae"])
def test_old_pickles_give_the_same_answers(name, answers, data):
    model = load(name)
    np.testing.assert_allclose(model.transform(data), answers[name], rtol=1e-6)
    scores = model.score_samples(data)
    np.testing.assert_allclose(scores, answers[f"{name}_score"], rtol=1e-6)
    if name.endswith("vae"):  # they gave means
        samples, old = model.sample(5, random_state=0, noise=False), f"{name}_sample"
        np.testing.assert_allclose(samples, answers[old], rtol=1e-5, atol=1e-6)
    else:  # its random numbers are others now
        law, n = EnumeratedRBM.of(model), 2000
        p = np.exp(law.log_joint).sum(axis=1) @ law.V
        error = np.abs(model.sample(n, random_state=0).mean(axis=0) - p)
        assert (error < 4.5 * np.sqrt(p * (1 - p) / n)).all()
    # And they go on: into a fit, and through another pickle.
    n_before = model.n_iter_
    again = pickle.loads(pickle.dumps(model)).partial_fit(data)
    assert again.n_iter_ == n_before + 1
    assert type(again) is getattr(skgen, type(again).__name__)


def test_an_old_pickle_keeps_its_trajectory_and_partition_function(answers, data):
    kept = load("rbm_rungs")
    assert kept.keep_trajectory is True
    assert len(kept.trajectory_["components_"]) + 1 == len(kept.h_samples_)
    assert "rungs_" not in vars(kept)
    likelihood = load("rbm").log_likelihood(data)
    np.testing.assert_allclose(likelihood, answers["rbm_loglik"], rtol=1e-6)


def test_an_old_pickle_that_was_not_fitted():
    model = load("rbm_unfitted")
    assert model.keep_trajectory is True
    assert model.get_params().keys() == BernoulliRBMGPU().get_params().keys()
    clone(model).fit(SMALL)


def test_an_old_imputer(answers, data):
    gaps = data.copy()
    gaps[::3, ::5] = np.nan
    filled = load("imputer").transform(gaps)
    known = ~np.isnan(gaps)
    np.testing.assert_array_equal(filled[known], gaps[known])
    # Means over chains, by other random numbers now.
    np.testing.assert_allclose(filled, answers["imputer"], atol=0.06)
    assert abs(data - answers["imputer"])[~known].max() > 0.5
