"""The estimators that the contract tests run over, and what each of them offers.

A test names what it needs, `@needs(EncoderMixin, "precision")`, and runs
over all estimators that offer it: capabilities (the mixins of `skgen.base`),
parameters or methods.
"""

from inspect import signature
from pkgutil import resolve_name

from sklearn.datasets import load_digits

import skgen
from skgen import GAN, DeepBeliefNetwork, EnergyModel
from skgen.base import ConditionalMixin, EncoderMixin
from skgen.diffusion._base import BaseDiffusionModel

TOYS: list[str] = [
    "toys.linear_conditional:LinearConditional",
    "toys.linear_gan:LinearGAN",
]
ESTIMATORS = [
    *(getattr(skgen, name) for name in skgen.__all__),
    *(resolve_name(name) for name in TOYS),
]

# The middle of some digits, with columns that are constant, as small as tests of what
# does not depend on the size may have it: most of the time of the suite is in fits.
N_SAMPLES, N_FEATURES = 100, 24
X = (load_digits().data / 16)[:N_SAMPLES, 16 : 16 + N_FEATURES].copy()
Y = load_digits().target[:N_SAMPLES] / 10

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


class CallableWithoutY:
    """What estimators need to be for a check that passes no y to their methods."""


class Deterministic:
    """What estimators need to be for a check of steps that draw no random numbers."""


def offers(cls, need):
    """Whether an estimator is of a class, or has a parameter or a method."""
    if need is CallableWithoutY:
        return not issubclass(cls, ConditionalMixin) or issubclass(cls, EncoderMixin)
    if need is Deterministic:
        return not issubclass(cls, EncoderMixin)
    if isinstance(need, str):
        return need in cls().get_params() or callable(getattr(cls, need, None))
    return issubclass(cls, need)


def those_with(*needs):
    """The estimators that offer all of some things."""
    return [cls for cls in ESTIMATORS if all(offers(cls, need) for need in needs)]


def sized(make, n):
    """Parameters with which an estimator has n features, if they are free, and few."""
    if isinstance(make(), BaseDiffusionModel):
        sizes = (n, n)
        return {"hidden_layer_sizes": sizes, "n_steps": 4, "early_stopping": False}
    if isinstance(make(), EnergyModel):
        return {
            "hidden_layer_sizes": (n, n),
            "base": "gaussian",
            "early_stopping": False,
        }
    if isinstance(make(), DeepBeliefNetwork):
        return {"hidden_layer_sizes": (n + 4, n)}
    if "hidden_layer_sizes" in make().get_params():
        return {"n_components": n, "hidden_layer_sizes": (16,)}
    return {"n_components": n}


def offered(cls, **params):
    """Those of some parameters that an estimator has."""
    return {k: v for k, v in params.items() if k in cls().get_params()}


def enough_to_learn(make):
    """Parameters with which a few epochs teach an estimator more than its start knows.

    That of a diffusion model or of an energy-based one is a Gaussian of the data, which
    takes long to improve unless it is a poor one; and the critic of a GAN has to learn
    before its generator.
    """
    if isinstance(make(), GAN):
        return {"n_iter": 30}
    if isinstance(make(), EnergyModel):
        base = {"base": "gaussian", "base_covariance_type": "diag"}
        return {**base, "learning_rate": 1e-2, "n_iter": 30}
    if isinstance(make(), BaseDiffusionModel):
        return {"covariance_type": "diag", "learning_rate": 1e-2, "n_iter": 30}
    return {}


def code_width(make, n):
    """Number of features that `transform` returns with these parameters."""
    return X.shape[1] if isinstance(make(), BaseDiffusionModel) else n


def in_one_phase(make):
    """Parameters with which a fit has one phase, whose epochs are those of the fit."""
    if isinstance(make(), DeepBeliefNetwork):
        return {"hidden_layer_sizes": (8,)}
    return {}


def n_phases(model):
    """Number of phases of the fits of an estimator, each of which has `n_iter` rows."""
    return len({row.get("phase") for row in model.history_})


def args(model, x=X, y=Y):
    """What `fit` and `score` of an estimator take."""
    return (x, y[: x.shape[0]]) if isinstance(model, ConditionalMixin) else (x,)


def net_args(model):
    """What `score` of the net of a fitted estimator takes."""
    if not isinstance(model, ConditionalMixin):
        return (X,)
    y = model._validate_conditions(Y, X)
    return X, model._training_conditions(y, model._state())


def fit(model, x=X, y=Y):
    return model.fit(*args(model, x, y))


def draw(model, n_samples=1, **kwargs):
    """Samples, given the first conditions where the model is of p(x | y)."""
    if isinstance(model, ConditionalMixin):
        kwargs["y"] = Y[:n_samples, None]
    return model.sample(n_samples, **few_steps(model.sample, 20) | kwargs)


def few_steps(method, n_steps):
    """What makes a method quick, if it is by Markov chains."""
    takes = "n_gibbs_steps" in signature(method).parameters
    return {"n_gibbs_steps": n_steps} if takes else {}
