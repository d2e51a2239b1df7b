"""The model that inference reads: it is that of the arrays as they are now."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from skgen import BernoulliRBMGPU
from skgen.rbm._state import PARAMETERS, BernoulliRBMState

CPU = torch.device("cpu")


def random_arrays(dtype, seed=0):
    rng = np.random.default_rng(seed)
    shapes = (5, 7), (5,), (7,)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    return dict(zip(PARAMETERS, arrays, strict=True))


def random_rbm(dtype, seed=0):
    model = BernoulliRBMGPU(5, random_state=0, device="cpu")
    for name, array in random_arrays(dtype, seed).items():
        setattr(model, name, array)
    return model


def features(model, X):
    return expit(X @ model.components_.T + model.intercept_hidden_)


BITS = np.random.default_rng(1).integers(0, 2, (3, 7))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_to_read_is_a_view_of_arrays_of_its_dtype(dtype):
    state = BernoulliRBMState(random_arrays(dtype))
    of_same_dtype = state.model_to_read(torch.from_numpy(np.empty(0, dtype)).dtype, CPU)
    for name, p in zip(PARAMETERS, of_same_dtype.parameters(), strict=True):
        assert p.data_ptr() == state[name].ctypes.data
    for p, q in zip(
        of_same_dtype.parameters(), state.model().parameters(), strict=True
    ):
        assert torch.equal(p, q)
        assert p.data_ptr() != q.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("of_arrays", [np.float16, np.float32, np.float64, np.int64])
def test_a_model_to_read_has_the_dtype_of_the_data(of_arrays, dtype):
    state = BernoulliRBMState(random_arrays(of_arrays))
    model = state.model_to_read(dtype, CPU)
    for name, p in zip(PARAMETERS, model.parameters(), strict=True):
        assert p.dtype == dtype
        np.testing.assert_array_equal(
            p.detach(), state[name].astype(p.numpy(force=True).dtype)
        )


@pytest.mark.parametrize("of_arrays", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_change_of_the_arrays_is_seen_at_once(dtype, of_arrays):
    """Also one in place, and of arrays that are read-only or in another order."""
    model, X = random_rbm(of_arrays), BITS.astype(dtype)
    before = model.transform(X)

    def check():
        np.testing.assert_allclose(model.transform(X), features(model, X), rtol=1e-5)

    check()
    model.components_[2] += 1
    model.intercept_hidden_ -= 1
    check()
    model.components_ = np.asfortranarray(model.components_)
    model.components_[0, 0] = 3
    check()
    model.components_.flags.writeable = False
    check()
    model.components_ = random_arrays(of_arrays)["components_"]
    model.intercept_hidden_ = random_arrays(of_arrays)["intercept_hidden_"]
    np.testing.assert_array_equal(model.transform(X), before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inference_leaves_the_arrays_as_they_are(dtype):
    model, X = random_rbm(dtype), BITS.astype(dtype)
    arrays = {name: getattr(model, name) for name in PARAMETERS}
    copies = {name: array.copy() for name, array in arrays.items()}
    for method in (
        model.transform,
        model.gibbs,
        model.score_samples,
        model.free_energy,
    ):
        method(X)
    model.inverse_transform(model.transform(X))
    model.impute(np.where(X == 0, np.nan, X))
    model.sample(2, n_gibbs_steps=2)
    for name, array in arrays.items():
        assert getattr(model, name) is array
        np.testing.assert_array_equal(array, copies[name])


def test_shapes_that_do_not_fit_are_an_error():
    model = random_rbm(np.float32)
    model.intercept_hidden_ = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match=r"intercept_hidden_ of shape \(4,\)"):
        model.transform(BITS)
