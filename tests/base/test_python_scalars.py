import numpy as np
import pytest

from skgen import BernoulliRBMGPU
from skgen.base._python_scalars import as_python, python_arguments, python_scalars


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int8(3), 3),
        (np.uint64(3), 3),
        (np.float16(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("pcd"), "pcd"),
        ((np.int64(2), 3), (2, 3)),
        ([np.int64(2), (np.int8(3),)], [2, (3,)]),
        (None, None),
    ],
)
def test_as_python(value, expected):
    got = as_python(value)
    assert got == expected
    assert type(got) is type(expected)
    if isinstance(got, tuple | list):
        assert [type(part) for part in got] == [type(part) for part in expected]


def test_what_is_no_scalar_stays():
    for value in (np.arange(3), np.array(3), "pcd", 0.5):
        assert as_python(value) is value


def test_parameters_are_python_for_a_while():
    given = {"batch_size": np.int64(7), "momentum": np.float32(0.5)}
    model = BernoulliRBMGPU(**given)
    model.n_samples_seen_ = np.int64(3)  # no parameter
    with python_scalars(model):
        assert type(model.batch_size) is int
        assert type(model.momentum) is float
        assert type(model.n_samples_seen_) is np.int64
    assert all(model.get_params()[name] is value for name, value in given.items())


def test_arguments_are_python():
    @python_arguments
    def show(*args, **kwargs):
        """Said of it."""
        return args, kwargs

    args, kwargs = show(np.int64(2), [np.int64(2)], x=np.float32(0.5), y=None)
    assert type(args[0]) is int
    assert type(args[1][0]) is np.int64  # data stay as they are
    assert type(kwargs["x"]) is float
    assert show.__doc__ == "Said of it."
