"""Exported models against the estimators: modules of torch, and ONNX files."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import skgen
from skgen import (
    BernoulliRBMGPU,
    BernoulliVAE,
    ConditionalBernoulliVAE,
    ConditionalDiffusionModel,
    ConditionalGaussianVAE,
    DeepBeliefNetwork,
    DiffusionModel,
    GaussianRBM,
    GaussianVAE,
)
from skgen.base import ConditionalMixin, EncoderMixin, ExportMixin

RNG = np.random.default_rng(0)
BITS = (RNG.random((1000, 12)) > 0.5).astype(np.float64)
REAL = 1 + RNG.normal(size=(1000, 12))
# In units in which float32 has few digits behind the decimal point.
FAR = 300 + 20 * REAL
LABELS = np.arange(1000) % 3 * 10
NAMES = np.array(["a", "b", "c"])[np.arange(1000) % 3]
MIXED = np.c_[LABELS // 10, RNG.normal(size=1000)]
QUICK = {"n_iter": 1, "random_state": 0, "device": "cpu"}
FLOW = {"hidden_layer_sizes": (4, 4), "n_steps": 2, **QUICK}


class Odd(nn.Module):
    """A network of a user, with dropout."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.layers = nn.Sequential(nn.Dropout(0.5), nn.Linear(n_in, n_out))

    def forward(self, x):
        return torch.tanh(self.layers(x)) + x.mean(1, keepdim=True)


# Estimator, data, conditions as they are, and as an exported model takes them.
CASES = {
    "rbm": (BernoulliRBMGPU(5, **QUICK), BITS),
    "rbm with a threshold": (
        BernoulliRBMGPU(5, binarize="threshold", **QUICK),
        BITS * 0.2 + 0.4,
    ),
    "Gaussian rbm": (GaussianRBM(5, **QUICK), REAL),
    "Gaussian rbm far from zero": (
        GaussianRBM(5, noise_variance="learned", **QUICK),
        FAR,
    ),
    "vae": (GaussianVAE(3, **QUICK), REAL),
    "vae far from zero": (
        GaussianVAE(3, noise_variance="learned", architecture="mlp", **QUICK),
        FAR,
    ),
    "vae in double precision": (GaussianVAE(3, precision="float64", **QUICK), REAL),
    "vae of bits": (BernoulliVAE(3, **QUICK), BITS),
    "vae of thresholds": (
        BernoulliVAE(3, binarize="threshold", **QUICK),
        BITS * 0.2 + 0.4,
    ),
    "convolutions": (
        GaussianVAE(3, architecture="conv", image_shape=(3, 4), **QUICK),
        REAL,
    ),
    "own networks": (GaussianVAE(3, encoder=Odd, decoder=Odd, **QUICK), REAL),
    "conditional": (ConditionalGaussianVAE(3, **QUICK), REAL, LABELS, LABELS),
    "conditional on names": (
        ConditionalBernoulliVAE(3, **QUICK),
        BITS,
        NAMES,
        np.arange(1000) % 3,
    ),
    "conditional on both": (
        ConditionalBernoulliVAE(3, y_kind="values", **QUICK),
        BITS,
        MIXED,
        MIXED,
    ),
    "conditional convolutions": (
        ConditionalGaussianVAE(3, architecture="conv", image_shape=(3, 4), **QUICK),
        REAL,
        LABELS,
        LABELS,
    ),
    "deep belief network": (DeepBeliefNetwork((5, 4), **QUICK), BITS),
    "deep belief network of real values": (
        DeepBeliefNetwork((5, 4), visible="gaussian", **QUICK),
        REAL,
    ),
    "diffusion": (DiffusionModel(**FLOW), FAR),
    "diffusion of images": (
        DiffusionModel(**FLOW | {"architecture": "conv", "image_shape": (3, 4)}),
        REAL,
    ),
    "conditional diffusion": (
        ConditionalDiffusionModel(**FLOW),
        REAL,
        NAMES,
        np.arange(1000) % 3,
    ),
    "fine-tuned": (DeepBeliefNetwork((5, 4), fine_tune_iter=1, **QUICK), BITS),
}
# One of each public estimator, of which ONNX files are made in every run.
EACH = ["rbm", "Gaussian rbm", "vae", "vae of bits", "deep belief network"]
EACH += ["conditional", "conditional on names", "diffusion", "conditional diffusion"]


@pytest.fixture(scope="module")
def fitted():
    """Fitted estimators, what they answer, and y as a tensor, by name."""
    made = {}

    def get(name):
        if name not in made:
            model, X, *y = CASES[name]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(X[:300], *[values[:300] for values in y[:1]])
            X = X.astype(model._dtype)
            H = model.transform(X, *y[:1])
            mean = model.inverse_transform(H, *y[:1])
            columns = [torch.tensor(v, dtype=torch.float64) for v in y[1:]]
            columns = [v.reshape(len(v), -1) for v in columns]
            made[name] = model, X, H, mean, columns
        return made[name]

    return get


def test_every_encoder_is_tried():
    kinds = {type(CASES[name][0]) for name in EACH}
    encoders = {getattr(skgen, name) for name in skgen.__all__}
    assert kinds == {cls for cls in encoders if issubclass(cls, EncoderMixin)}
    assert all(issubclass(cls, ExportMixin) for cls in kinds)


def scale_of(mean):
    """What an error is compared with: 1, or where float32 has no such digits, more."""
    largest = np.abs(mean).max()
    return 1.0 if largest < 10 else largest


@pytest.mark.parametrize("name", CASES)
def test_a_module_computes_what_the_estimator_does(name, fitted):
    model, X, H, mean, y = fitted(name)
    module = model.to_torch()
    assert not module.training
    for data in (torch.tensor(X), torch.tensor(X).double()):
        with torch.no_grad():
            features = module(data, *y)
            given = module.decoder(torch.tensor(H), *y)
        assert features.dtype == given.dtype == getattr(torch, model.precision)
        np.testing.assert_allclose(features, H, rtol=0, atol=2e-6)
        np.testing.assert_allclose(given, mean, rtol=0, atol=2e-6 * scale_of(mean))


@pytest.mark.parametrize("name", EACH)
def test_a_module_is_independent_of_the_estimator(name, fitted):
    model, X, H, _, y = fitted(name)
    module = model.to_torch()
    loss = module.decoder(
        module(torch.tensor(X[:5]), *[v[:5] for v in y]), *[v[:5] for v in y]
    )
    loss.sum().backward()  # it may be trained on
    with torch.no_grad():
        for parameter in module.parameters():
            assert parameter.is_leaf
            parameter.zero_()
    more = CASES[name][2:3]
    np.testing.assert_array_equal(model.transform(X, *more), H)


class WithoutLooking(TorchDispatchMode):
    """Context in which no number of a tensor may be looked at."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        aten = torch.ops.aten
        looks = {aten._local_scalar_dense, aten.nonzero, aten.equal, aten.unique_dim}
        assert function.overloadpacket not in looks, f"{function} reads data"
        return function(*args, **kwargs or {})


@pytest.mark.parametrize("name", CASES)
def test_there_are_no_branches_on_data(name, fitted):
    model, X, H, _, y = fitted(name)
    module = model.to_torch()
    with torch.no_grad(), WithoutLooking():
        module(torch.tensor(X), *y)
        module.decoder(torch.tensor(H), *y)


def test_a_branch_on_data_would_be_seen():
    """Wrong twin: the network of a user that has one."""

    class Branching(Odd):
        def forward(self, x):
            return super().forward(x if x.sum() > 0 else -x)

    model = GaussianVAE(3, encoder=Branching, **QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = model.fit(REAL[:100]).to_torch()
    with WithoutLooking(), pytest.raises(AssertionError, match="reads data"):
        module(torch.tensor(REAL))


@pytest.mark.slow
@pytest.mark.parametrize("name", EACH)
def test_any_number_of_rows_by_one_graph(name, fitted):
    model, X, H, _, y = fitted(name)
    rows = torch.export.Dim("rows")
    few = (torch.tensor(X[:3]), *[v[:3] for v in y])
    shapes = tuple({0: rows} for _ in few)
    graph = torch.export.export(model.to_torch(), few, dynamic_shapes=shapes).module()
    for n in (1, 7, 1000):
        features = graph(torch.tensor(X[:n]), *[v[:n] for v in y])
        np.testing.assert_allclose(features.detach(), H[:n], rtol=0, atol=2e-6)


def test_missing_values_stay_missing(fitted):
    model, X, *_ = fitted("vae")
    X = torch.tensor(X[:2])
    X[0, 0] = torch.nan
    features = model.to_torch()(X)
    assert features[0].isnan().all()
    assert not features[1].isnan().any()


def test_values_beyond_the_bounds():
    X = REAL[:200].copy()
    X[0, 0] = 1e6
    model = GaussianVAE(3, **QUICK)
    with pytest.warns(UserWarning, match="implausible values"):
        model.fit(X)
    data = X[:3].astype(np.float32)
    features = model.to_torch()(torch.tensor(data)).detach()
    np.testing.assert_allclose(features, model.transform(data), rtol=0, atol=2e-6)


def test_conditions_are_asked_for_where_they_are_needed(fitted):
    model, X, _, _, y = fitted("conditional")
    with pytest.raises(ValueError, match="Got no y, but expected one"):
        model.to_torch()(torch.tensor(X))
    model, X, *_ = fitted("vae")
    with pytest.raises(ValueError, match="Got y, but expected none"):
        model.to_torch()(torch.tensor(X), *y)


def test_an_estimator_that_is_not_fitted(tmp_path):
    for call in (
        lambda model: model.to_torch(),
        lambda model: model.export_onnx(tmp_path / "model.onnx"),
    ):
        with pytest.raises(NotFittedError):
            call(GaussianVAE())


def test_a_wrong_method(fitted, tmp_path):
    with pytest.raises(ValueError, match="'method' parameter of"):
        fitted("vae")[0].export_onnx(tmp_path / "model.onnx", method="sample")


def test_a_missing_package_names_the_extra(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("skgen.base._export.find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r"onnx and onnxscript.*scikit-generative\[onnx"
    ):
        fitted("vae")[0].export_onnx(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def session_of(path):
    """Names of the inputs of a file, and what computes its outputs.

    By onnxruntime where it is installed, and otherwise by the reference of onnx.
    """
    try:
        from onnxruntime import InferenceSession
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        session = ReferenceEvaluator(str(path))
        return session.input_names, session.run
    session = InferenceSession(path)
    return [each.name for each in session.get_inputs()], session.run


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
def test_an_onnx_file_computes_what_the_estimator_does(name, method, fitted, tmp_path):
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    model, X, H, mean, y = fitted(name)
    data, expected = (X, H) if method == "transform" else (H, mean)
    model.export_onnx(tmp_path / "model.onnx", method=method)
    inputs, run = session_of(tmp_path / "model.onnx")
    assert inputs == ["X" if method == "transform" else "H", "y"][: 1 + len(y)]
    assert (len(y) == 1) is isinstance(model, ConditionalMixin)
    worst = 0.0
    for n in (1, 7, 1000):
        feed = dict(zip(inputs, [data[:n], *(v[:n].numpy() for v in y)], strict=True))
        (given,) = run(None, feed)
        assert given.dtype == data.dtype
        assert given.shape == (n, expected.shape[1])
        worst = max(worst, np.abs(given - expected[:n]).max())
    worst /= scale_of(expected)
    print(f"{name}, {method}: {worst:.1e}")  # noqa: T201
    assert worst <= 1e-5
