"""What all estimators share: the methods of scikit-learn, and inference."""

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_array, check_random_state
from sklearn.utils._metadata_requests import UNUSED
from sklearn.utils.validation import check_is_fitted
from skorch.dataset import Dataset
from torch import Tensor

from skgen.base._fitting import Fitting, draw_seed
from skgen.base._validation import validated
from skgen.training import (
    DeviceBatches,
    GenerativeNet,
    resolve_device,
    watches_held_out_rows,
)

# Numbers in a chunk of data that inference moves to the device at a time.
_CHUNK = 2**23


class BaseGenerator(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, Fitting
):
    """Base of all generative estimators.

    What a family supplies is listed in `Fitting`. Inference builds a module from the
    fitted state in the dtype of the data. See `skgen.BernoulliRBMGPU` for the
    parameters, which are shared.
    """

    _doc_link_module = "skgen"
    _doc_link_template = (
        "https://scikit-generative.readthedocs.io/en/latest/generated/"
        "{estimator_module}.{estimator_name}.html"
    )

    # H is data: it takes no part in scikit-learn's metadata routing.
    __metadata_request__inverse_transform: ClassVar[dict] = {"H": UNUSED}

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> "BaseGenerator":
        """Fit the model to X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data. Sparse data is made dense a mini-batch at a time.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or a parameter is bad, before any training; or if training
            diverges. What was fitted before stays as it was.

        Warns
        -----
        ConvergenceWarning
            If training is interrupted from the keyboard; what was learned by
            then is kept.
        """
        warm = self.warm_start and self.__sklearn_is_fitted__()
        return self._fit(X, n_iter=self.n_iter, warm=warm)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> "BaseGenerator":
        """Go on with the fit by one pass over X in mini-batches.

        The first call starts a model. The learning rate is constant, and no
        row is held out.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        if self.early_stopping or watches_held_out_rows(self.callbacks):
            raise ValueError(
                "partial_fit holds no rows out, but early_stopping or one of the "
                "callbacks watches held-out rows. Call fit, or set_params("
                "early_stopping=False, callbacks=None) first."
            )
        warm = self.__sklearn_is_fitted__()
        return self._fit(X, n_iter=1, warm=warm, partial=True)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples` over X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            Nats per sample, higher is better.
        """
        return float(np.mean(self.score_samples(X), dtype=np.float64))

    @property
    def net_(self) -> GenerativeNet:  # numpydoc ignore=RT01
        """The skorch net, with the current parameters in it.

        It is left out of a pickle, and made anew when it is asked for.
        """
        check_is_fitted(self)
        state = self._state()
        if "_net" not in self.__dict__:
            rng = getattr(self, "random_state_", None) or self.random_state
            # A copy: to look at an attribute must not move a random state.
            seed = draw_seed(check_random_state(copy.deepcopy(rng)))
            self._net = self._build_net(state, self._inference_device(), seed)
        model = self._build_model(state)
        self._net.module_.load_state_dict(model.state_dict())
        return self._net

    def __sklearn_is_fitted__(self) -> bool:
        return all(hasattr(self, name) for name in self._required_state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Pickle arrays and parameters; net and callbacks of a fit stay behind."""
        state = {k: v for k, v in super().__getstate__().items() if k != "_net"}
        if self.__sklearn_is_fitted__():
            state["callbacks"] = None
        return state

    def _validate_data(self, X: Any) -> Any:
        """Validate data of a fitted estimator; its dtype stays."""
        check_is_fitted(self)
        dtype = [np.float64, np.float32]
        return validated(self, X, dtype=dtype, reset=False)

    def _validate_components(self, H: Any) -> np.ndarray:
        """Validate what `inverse_transform` takes; its dtype stays."""
        check_is_fitted(self)
        H = check_array(H, dtype=[np.float64, np.float32], input_name="H")
        n_components = self._n_features_out
        if H.shape[1] != n_components:
            raise ValueError(
                f"Got H with {H.shape[1]} columns, but expected {n_components}, one "
                "for each component, as transform gives."
            )
        return H

    def _apply(self, function: Callable[[Any, Tensor], Tensor], X: Any) -> np.ndarray:
        """Apply ``function(model, rows)`` to valid data, a chunk at a time."""
        device = self._inference_device()
        model = self._model(torch.from_numpy(np.empty(0, X.dtype)).dtype, device)
        batches = DeviceBatches(Dataset(X), max(1, _CHUNK // X.shape[1]), device=device)
        with torch.inference_mode():
            parts = [function(model, x).cpu().numpy() for x, _ in batches]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _model(self, dtype: torch.dtype, device: torch.device) -> Any:
        return self._build_model(self._state()).to(device, dtype).eval()

    def _rng(self, random_state: Any) -> np.random.RandomState:
        """Give the source of randomness that a method was asked to draw from."""
        return check_random_state(
            self.random_state if random_state is None else random_state
        )

    def _inference_device(self) -> torch.device:
        """The device asked for, or the CPU where this machine lacks it."""
        try:
            return resolve_device(self.device)
        except ValueError:
            return torch.device("cpu")

    def _generator(self, rng: np.random.RandomState) -> torch.Generator:
        """Make a source of randomness where inference runs, from one drawn integer."""
        generator = torch.Generator(device=self._inference_device())
        return generator.manual_seed(draw_seed(rng))
