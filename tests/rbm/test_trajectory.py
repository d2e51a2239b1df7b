"""When a model is kept, and models between two."""

import copy
import io

import numpy as np
import pytest
import torch
from oracles import EnumeratedRBM
from rbm_helpers import module_of
from safetensors.torch import load_file
from skorch.callbacks import Checkpoint, LoadInitState

from skgen import BernoulliRBMGPU, GaussianRBM
from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._model import BernoulliRBM
from skgen.rbm._parallel_tempering import ParallelTempering
from skgen.rbm._trajectory import Trajectory
from skgen.training import Batch


@pytest.fixture
def oracle():
    return EnumeratedRBM.random(5, 4, seed=3, scale=1.5)


def scaled(oracle, factor):
    return EnumeratedRBM(*(factor * a for a in oracle.params))


def draws(oracle, n=4000):
    rows = np.random.RandomState(0).choice(32, size=n, p=np.exp(oracle.log_p_v))
    return torch.tensor(oracle.V[rows])


def exact_acceptance(one, other):
    """Mean of min(1, ratio) over both laws, by enumeration."""
    p, q = one.log_p_v, other.log_p_v
    ratio = p[None, :] + q[:, None] - p[:, None] - q[None, :]
    weight = np.exp(p[:, None] + q[None, :])
    return np.sum(weight * np.minimum(1, np.exp(ratio)))


@pytest.mark.parametrize("factor", [1.0, 0.7, 0.4, 0.2, 0.0, -0.5])
def test_a_model_is_kept_below_an_acceptance_of_four_tenths(oracle, generator, factor):
    now = scaled(oracle, factor)
    trajectory = Trajectory([module_of(oracle)])
    with torch.no_grad():
        # The first check starts the chains of the model kept where those of training
        # are.
        trajectory._chains = draws(oracle)
        kept = trajectory.follow(module_of(now), draws(now), generator=generator)
    acceptance = exact_acceptance(oracle, now)
    assert abs(acceptance - 0.4) > 0.02, "too close to tell"
    assert kept == ([0, 1, 1] if acceptance < 0.4 else None)
    assert len(trajectory.models) == (1 if kept is None else 2)


def test_acceptance_against_enumeration(oracle, generator):
    other = scaled(oracle, 0.6)
    trajectory = Trajectory([module_of(oracle)])
    with torch.no_grad():
        trajectory._chains = draws(oracle)
        got = trajectory._acceptance(module_of(other), draws(other), generator)
    assert got == pytest.approx(exact_acceptance(oracle, other), abs=0.02)


def test_what_is_kept_is_a_copy(oracle, generator):
    model = module_of(oracle)
    trajectory = Trajectory([module_of(scaled(oracle, -2.0))])
    with torch.no_grad():
        assert trajectory.follow(model, draws(oracle, 100), generator=generator)
        model.weight.zero_()
    np.testing.assert_array_equal(trajectory.models[-1].weight.detach(), oracle.W)


def test_checks_are_rare_while_nothing_changes(oracle, generator):
    model = module_of(oracle)
    trajectory = Trajectory([copy.deepcopy(model)])
    checks = []
    acceptance = trajectory._acceptance
    trajectory._acceptance = lambda *args: checks.append(1) or acceptance(*args)
    with torch.no_grad():
        for _ in range(1000):
            trajectory.follow(model, draws(oracle, 20), generator=generator)
    assert 20 < len(checks) < 35
    assert len(trajectory.models) == 1


def test_models_move_with_the_objective_and_are_no_parameters(oracle):
    trajectory = Trajectory([module_of(oracle)])
    objective = ContrastiveDivergence(
        torch.zeros(3, 4), None, None, trajectory=trajectory
    )
    assert list(objective.parameters()) == []
    objective.to(torch.float32)
    assert trajectory.models[0].weight.dtype == torch.float32


def objective_of(algorithm, n_models, seed):
    """An objective with so many models kept and chains that are coins."""
    models = [EnumeratedRBM.random(5, 4, seed=seed + r) for r in range(n_models)]
    shape = (n_models + 1, 20, 4) if algorithm == "pt" else (20, 4)
    rng = np.random.RandomState(seed)
    chains = torch.tensor(rng.randint(2, size=shape), dtype=torch.float64)
    kwargs = {"trajectory": Trajectory([module_of(m) for m in models])}
    if algorithm == "cd":
        return ContrastiveDivergence(chains, None, None, **kwargs)
    base_bias = torch.linspace(-1, 1, 5, dtype=torch.float64) * seed
    return ParallelTempering(chains, None, None, base_bias=base_bias, **kwargs)


def gradients(objective, model, rows, seed):
    noise = torch.Generator().manual_seed(seed)
    objective.fill_gradients_(model, Batch(rows), generator=noise)
    return [p.grad for p in model.parameters()]


@pytest.mark.parametrize("n_kept", [1, 2, 3])
@pytest.mark.parametrize("algorithm", ["cd", "pt"])
def test_saved_state_restores_models_and_chains(oracle, algorithm, n_kept):
    """To an objective that has kept two models: fewer, as many and more.

    It has taken two steps before, whose tensors must not be used any more: a step
    from the restored state is the one from the state that was saved.
    """
    saved = objective_of(algorithm, n_kept, seed=10)
    restored = objective_of(algorithm, 2, seed=20)
    model, rows = module_of(oracle), torch.tensor(oracle.V[:10])
    for seed in range(2):
        gradients(restored, model, rows, seed)
    file = io.BytesIO()
    torch.save(saved.state_dict(), file)
    file.seek(0)
    restored.load_state_dict(torch.load(file, weights_only=True))
    assert len(restored.trajectory.models) == n_kept
    for one, other in zip(
        saved.trajectory.models, restored.trajectory.models, strict=True
    ):
        for p, q in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(p, q)
            assert p.data_ptr() != q.data_ptr()
    assert torch.equal(saved.chains, restored.chains)
    for g, e in zip(
        gradients(restored, module_of(oracle), rows, 3),
        gradients(saved, module_of(oracle), rows, 3),
        strict=True,
    ):
        assert torch.equal(g, e)
    assert torch.equal(saved.chains, restored.chains)


def test_models_that_are_restored_are_followed(oracle, generator):
    """At once, from the chains of training, and against the last one restored."""
    far, model = module_of(scaled(oracle, -2.0)), module_of(oracle)
    trajectory = Trajectory([far])
    trajectory.restore([far.state_dict(), model.state_dict()])
    with torch.no_grad():
        for _ in range(5):  # the next check would be after two more
            assert trajectory.follow(model, draws(oracle), generator=generator) is None
    assert len(trajectory.models) == 2
    trajectory.restore([far.state_dict()])
    with torch.no_grad():
        v = draws(oracle, 1000)  # fewer chains than before
        assert trajectory.follow(model, v, generator=generator) == [0, 1, 1]


@pytest.mark.parametrize("t", [0.0, 0.25, 1.0])
def test_interpolation(oracle, t):
    """Energies of joint states are interpolated."""
    one, two = oracle, EnumeratedRBM.random(5, 4, seed=4)
    middle = module_of(one).interpolate(module_of(two), t)
    v, h = torch.tensor(one.V[::2]), torch.tensor(one.H)
    with torch.no_grad():
        energies = [m.energy(v, h) for m in (module_of(one), middle, module_of(two))]
    torch.testing.assert_close(energies[1], (1 - t) * energies[0] + t * energies[2])
    assert isinstance(middle, BernoulliRBM)


def test_at_most_64_are_kept(oracle, generator):
    """Models that jump about: the first and the last stay, others thin out."""
    trajectory = Trajectory([module_of(oracle)])
    blocks = [0, 1]  # what stands for the chains of the models and of the last one
    seen = 0
    with torch.no_grad():
        for step in range(1, 160):
            now = scaled(oracle, 3.0 if step % 2 else -3.0)
            parents = trajectory.follow(
                module_of(now), draws(now, 50), generator=generator
            )
            if parents is not None:
                seen += 1
                blocks = [blocks[i] for i in parents]
                blocks[-1] = step
                assert len(blocks) == len(trajectory.models) + 1
                np.testing.assert_allclose(trajectory.models[-1].weight.detach(), now.W)
    assert seen > 64
    assert len(trajectory.models) <= 64
    assert blocks[0] == 0
    np.testing.assert_array_equal(trajectory.models[0].weight.detach(), oracle.W)


@pytest.mark.parametrize("kind", [BernoulliRBMGPU, GaussianRBM])
def test_a_checkpoint_of_tensors_alone_holds_the_models_kept(kind, tmp_path):
    """With safetensors, which has no lists; skorch does not say what it left out."""
    rng = np.random.default_rng(0)
    X = np.repeat(rng.random((60, 1)) > 0.5, 8, axis=1) ^ (rng.random((60, 8)) < 0.05)
    saves = Checkpoint(
        monitor=None, dirname=str(tmp_path), f_optimizer=None, use_safetensors=True
    )
    params = {"keep_trajectory": True, "random_state": 0, "device": "cpu"}
    params |= {"learning_rate": 0.3, "batch_size": 10}
    model = kind(4, n_iter=40, callbacks=[saves], **params).fit(X)
    kept = model.net_.criterion_.trajectory.models
    assert len(kept) > 2
    assert set(load_file(tmp_path / "criterion.pt")) > {"trajectory.0.weight", "chains"}
    loads = LoadInitState(saves, use_safetensors=True)
    loaded = kind(4, n_iter=0, callbacks=[loads], **params).fit(X)
    for one, other in zip(loaded.net_.criterion_.trajectory.models, kept, strict=True):
        torch.testing.assert_close(one.state_dict(), other.state_dict())
    np.testing.assert_array_equal(loaded.h_samples_, model.h_samples_)


def test_a_checkpoint_of_an_earlier_version(oracle):
    """There the models kept were a list."""
    chains = torch.zeros(3, 5)
    models = [module_of(scaled(oracle, factor)) for factor in (0.0, 0.5)]
    offsets = torch.zeros(5), torch.zeros(4)

    def objective(models):
        return ContrastiveDivergence(chains, *offsets, trajectory=Trajectory(models))

    state = objective(models).state_dict()
    names = [name for name in state if name.startswith("trajectory.")]
    for name in names:
        del state[name]
    state["_extra_state"] = [model.state_dict() for model in models]
    new = objective(models[:1])
    new.load_state_dict(state)
    for one, other in zip(new.trajectory.models, models, strict=True):
        torch.testing.assert_close(one.state_dict(), other.state_dict())
