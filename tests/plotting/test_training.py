import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skgen import BernoulliRBMGPU, DeepBeliefNetwork, GaussianVAE
from skgen.callbacks import FreeEnergyGap, LogLikelihood
from skgen.plotting import TrainingDisplay

X = load_digits().data[:60] / 16


@pytest.fixture(scope="module")
def rbm():
    return BernoulliRBMGPU(
        n_components=4,
        n_iter=5,
        callbacks=[FreeEnergyGap(held_out=True), LogLikelihood(every=2)],
        random_state=0,
    ).fit(X)


@pytest.fixture(scope="module")
def vae():
    return GaussianVAE(n_components=2, n_iter=3, random_state=0).fit(X)


class Recorded(BaseEstimator):
    """A fitted estimator with a history that is given."""

    def __init__(self, rows=()):
        self.rows = rows

    @property
    def history_(self):
        return list(self.rows)

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True


def points(display):
    return {line.get_label(): line.get_xydata().tolist() for line in display.lines_}


@pytest.mark.parametrize(("kind", "sign"), [("loss", 1), ("score", -1)])
def test_losses_and_scores(rbm, kind, sign):
    display = TrainingDisplay.from_estimator(rbm, kind=kind)
    epochs = range(1, 6)
    for label, name in [
        ("training rows", "train_loss"),
        ("held-out rows", "valid_loss"),
    ]:
        values = [sign * value for value in rbm.history_[:, name]]
        expected = [list(pair) for pair in zip(epochs, values, strict=True)]
        assert points(display)[label] == expected
    assert display.ax_.get_ylabel() == f"{kind} (nats per row)"
    assert display.ax_.get_xlabel() == "epoch"
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["training rows", "held-out rows"]


def test_terms_of_the_elbo(vae):
    display = TrainingDisplay.from_estimator(vae, kind="elbo")
    for label, name in [
        ("reconstruction", "train_reconstruction"),
        ("KL divergence", "train_kl"),
    ]:
        np.testing.assert_array_equal(display.curves[label], vae.history_[:, name])
    assert display.ax_.get_ylabel() == "terms of the ELBO (nats per row)"


def test_diagnostics_join_the_epochs_that_were_measured(rbm):
    display = TrainingDisplay.from_estimator(rbm, kind="diagnostics")
    assert set(display.curves) == {
        *("free_energy_gap_valid", "free_energy_gap_chains"),
        *("train_log_likelihood", "valid_log_likelihood"),
        *("log_partition", "log_partition_lower", "log_partition_upper"),
    }
    drawn = points(display)
    assert [x for x, _ in drawn["train_log_likelihood"]] == [1, 3, 5]
    assert [x for x, _ in drawn["free_energy_gap_chains"]] == [1, 2, 3, 4, 5]
    assert np.isnan(display.curves["train_log_likelihood"][1])


def test_entries_by_name(rbm):
    names = ["valid_log_likelihood", "log_partition"]
    display = TrainingDisplay.from_estimator(rbm, kind=names)
    assert list(points(display)) == names


def test_phases_interrupt_a_curve():
    network = DeepBeliefNetwork((4, 3), n_iter=2, fine_tune_iter=1, random_state=0)
    network.fit(X)
    display = TrainingDisplay.from_estimator(network)
    assert [line.get_xdata().tolist() for line in display.lines_] == [
        [1, 2],
        [3, 4],
        [5],
    ]
    texts = [text.get_text() for text in display.ax_.texts]
    assert texts == ["layer 1", "layer 2", "fine-tuning"]
    assert len(display.ax_.get_legend().get_texts()) == 1


def test_curves_differ_in_more_than_colour(rbm):
    display = TrainingDisplay.from_estimator(rbm, line_kw={"linewidth": 3})
    first, second = display.lines_
    assert first.get_linestyle() != second.get_linestyle()
    assert first.get_color() != second.get_color()
    assert first.get_linewidth() == 3


def test_what_was_not_recorded(vae, rbm):
    with pytest.raises(
        ValueError, match=r"\['valid_loss'\].*train_loss.*early_stopping"
    ):
        TrainingDisplay.from_estimator(vae, kind=["valid_loss"])
    with pytest.raises(ValueError, match=r"\['accuracy'\].*one of 'loss', 'score'"):
        TrainingDisplay.from_estimator(vae, kind=["accuracy"])
    with pytest.raises(ValueError, match=r"kind='diagnostics'.*skgen\.callbacks"):
        TrainingDisplay.from_estimator(vae, kind="diagnostics")
    with pytest.raises(ValueError, match=r"kind='elbo'.*BernoulliRBMGPU.*kind='loss'"):
        TrainingDisplay.from_estimator(rbm, kind="elbo")
    with pytest.raises(ValueError, match=r"kind='losses', but expected one of.*'elbo'"):
        TrainingDisplay.from_estimator(vae, kind="losses")
    with pytest.raises(ValueError, match=r"kind=\[\]"):
        TrainingDisplay.from_estimator(vae, kind=[])
    for kind in ("loss", ["train_loss"]):
        with pytest.raises(ValueError, match=r"has \[\]"):
            TrainingDisplay.from_estimator(Recorded(), kind=kind)


def test_bookkeeping_is_no_diagnostic():
    row = {"epoch": 1, "train_loss": 1.0, "dur": 0.1, "train_loss_best": True}
    row |= {"train_batch_count": 3, "batches": [], "phase": "a", "found": np.float32(2)}
    display = TrainingDisplay.from_estimator(Recorded([row]), kind="diagnostics")
    assert list(display.curves) == ["found"]


def test_an_estimator_without_a_history():
    model = PCA().fit(X)
    with pytest.raises(TypeError, match=r"PCA without history_.*pipeline\[-1\]"):
        TrainingDisplay.from_estimator(model)


def test_wrong_shapes():
    display = TrainingDisplay(epochs=[1, 2], curves={"a": [1.0]})
    with pytest.raises(ValueError, match=r"curve 'a' of shape \(1,\).*\(2,\).*NaN"):
        display.plot()
    display = TrainingDisplay(epochs=[1, 2], curves={"a": [1, 2]}, phases=["x"])
    with pytest.raises(ValueError, match=r"phases of length 1.*expected 2"):
        display.plot()
    assert not plt.get_fignums()
