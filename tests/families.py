"""The estimators that the contract tests run over, and what each of them offers.

A test names what it needs, `@needs(EncoderMixin, "precision")`, and runs
over all estimators that offer it: capabilities (the mixins of `skgen.base`),
parameters or methods.
"""

from inspect import signature
from pkgutil import resolve_name

from sklearn.datasets import load_digits

import skgen
from skgen.base import ConditionalMixin

TOYS: list[str] = [
    "toys.linear_conditional:LinearConditional",
    "toys.linear_gan:LinearGAN",
]
ESTIMATORS = [
    *(getattr(skgen, name) for name in skgen.__all__),
    *(resolve_name(name) for name in TOYS),
]

X, Y = (load_digits().data / 16)[:200], load_digits().target[:200] / 10

# What GaussianVAE was in version 0.1: the isotropic model, without a linear start.
PLAIN = {
    "architecture": "mlp",
    "hidden_layer_sizes": (256,),
    "noise_variance": "learned",
    "n_warmup_iter": 0,
    "learning_rate": 1e-3,
    "batch_size": 128,
    "weight_decay": 0.0,
    "learning_rate_schedule": "constant",
}


class Unconditional:
    """What estimators need to be for a check that passes no y to their methods."""


def offers(cls, need):
    """Whether an estimator is of a class, or has a parameter or a method."""
    if need is Unconditional:
        return not issubclass(cls, ConditionalMixin)
    if isinstance(need, str):
        return need in cls().get_params() or callable(getattr(cls, need, None))
    return issubclass(cls, need)


def those_with(*needs):
    """The estimators that offer all of some things."""
    return [cls for cls in ESTIMATORS if all(offers(cls, need) for need in needs)]


def args(model, x=X, y=Y):
    """What `fit` and `score` of an estimator take."""
    return (x, y[: x.shape[0]]) if isinstance(model, ConditionalMixin) else (x,)


def fit(model, x=X, y=Y):
    return model.fit(*args(model, x, y))


def draw(model, n_samples=1, **kwargs):
    """Samples, given the first conditions where the model is of p(x | y)."""
    if isinstance(model, ConditionalMixin):
        kwargs["y"] = Y[:n_samples, None]
    return model.sample(n_samples, **kwargs)


def few_steps(model, n_steps):
    """What makes imputation quick, if it is by Markov chains."""
    takes = "n_gibbs_steps" in signature(model.impute).parameters
    return {"n_gibbs_steps": n_steps} if takes else {}
