"""Early stopping goes back to the best epoch: weights, chains and trajectory."""

import numpy as np
import pytest
from rbm_helpers import rbm
from skorch.callbacks import Callback

RNG = np.random.RandomState(0)
# Few rows of noise: the pseudo-likelihood of held-out rows soon falls.
NOISE = (RNG.uniform(size=(60, 20)) < 0.5).astype(np.float64)


class Snapshots(Callback):
    """Copies what a fit would keep, after each epoch."""

    def __init__(self, into):
        self.into = into

    def on_epoch_end(self, net, **kwargs):
        objective = net.criterion_
        kept = [] if objective.trajectory is None else objective.trajectory.models
        self.into.append(
            {
                "weights": net.module_.weight.detach().numpy().copy(),
                "chains": objective.chains.numpy().copy(),
                "trajectory": [m.weight.detach().numpy().copy() for m in kept],
            }
        )


@pytest.mark.parametrize("algorithm", ["pcd", "pt"])
@pytest.mark.parametrize("keep_trajectory", [False, True])
def test_chains_and_trajectory_are_those_of_the_best_epoch(algorithm, keep_trajectory):
    seen = []
    model = rbm(
        16,
        algorithm=algorithm,
        keep_trajectory=keep_trajectory,
        learning_rate=1.0,
        n_iter=60,
        n_temperatures=3,
        early_stopping=True,
        validation_fraction=0.3,
        n_iter_no_change=8,
        callbacks=[Snapshots(seen)],
    ).fit(NOISE)
    best = int(np.argmin(model.history_[:, "valid_loss"]))
    assert best < len(seen) - 1 == model.n_iter_ - 1 < 59
    np.testing.assert_array_equal(model.components_, seen[best]["weights"])
    np.testing.assert_array_equal(model.h_samples_, seen[best]["chains"])
    assert not np.array_equal(model.h_samples_, seen[-1]["chains"])
    if keep_trajectory:
        kept = model.trajectory_["components_"]
        np.testing.assert_array_equal(kept, seen[best]["trajectory"])
        assert len(seen[-1]["trajectory"]) > len(kept)
        if algorithm == "pt":
            assert len(model.h_samples_) == len(kept) + 1
    # The next pass goes on from there.
    model.set_params(early_stopping=False, callbacks=None).partial_fit(NOISE)
