"""Generative models for scikit-learn."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skgen.dbn import DeepBeliefNetwork
    from skgen.diffusion import ConditionalDiffusionModel, DiffusionModel
    from skgen.energy import EnergyModel
    from skgen.gan import GAN
    from skgen.rbm import BernoulliRBMGPU, GaussianRBM
    from skgen.vae import (
        BernoulliVAE,
        ConditionalBernoulliVAE,
        ConditionalGaussianVAE,
        GaussianVAE,
    )

__all__ = [
    "GAN",
    "BernoulliRBMGPU",
    "BernoulliVAE",
    "ConditionalBernoulliVAE",
    "ConditionalDiffusionModel",
    "ConditionalGaussianVAE",
    "DeepBeliefNetwork",
    "DiffusionModel",
    "EnergyModel",
    "GaussianRBM",
    "GaussianVAE",
]
__version__ = "0.1.0"

# A family is imported when the first of its names is asked for: a program that uses one
# family does not wait for the others.
_FAMILIES = {
    "GAN": "skgen.gan",
    "BernoulliRBMGPU": "skgen.rbm",
    "BernoulliVAE": "skgen.vae",
    "ConditionalBernoulliVAE": "skgen.vae",
    "ConditionalDiffusionModel": "skgen.diffusion",
    "ConditionalGaussianVAE": "skgen.vae",
    "DeepBeliefNetwork": "skgen.dbn",
    "DiffusionModel": "skgen.diffusion",
    "EnergyModel": "skgen.energy",
    "GaussianRBM": "skgen.rbm",
    "GaussianVAE": "skgen.vae",
}
_SUBMODULES = (
    "base",
    "callbacks",
    "datasets",
    "dbn",
    "diagnostics",
    "diffusion",
    "energy",
    "exceptions",
    "gan",
    "impute",
    "io",
    "likelihood",
    "metrics",
    "nn",
    "parallel",
    "plotting",
    "rbm",
    "sampling",
    "training",
    "vae",
)


def __getattr__(name: str) -> Any:
    """Import an estimator or a submodule when it is first asked for (PEP 562)."""
    if name in _SUBMODULES:
        return import_module(f"skgen.{name}")
    if name not in _FAMILIES:
        raise AttributeError(f"module 'skgen' has no attribute {name!r}")
    value = getattr(import_module(_FAMILIES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
