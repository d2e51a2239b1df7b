"""BernoulliRBMGPU: the restricted Boltzmann machine as an estimator."""

from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import expit
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_is_fitted

from skgen._base import BaseGenerator, State, draw_seed, warn_outside_unit_interval
from skgen.likelihood import log_partition_exact
from skgen.modules import (
    BernoulliRBM,
    ContrastiveDivergence,
    pseudo_log_likelihood,
    starting_parameters,
)
from skgen.sampling import gibbs


class BernoulliRBMGPU(BaseGenerator):
    r"""Bernoulli restricted Boltzmann machine, trained on a GPU if there is one.

    An energy-based model of binary data v with binary hidden units h,

    .. math:: p(v, h) = e^{-E(v, h)} / Z, \quad
              E(v, h) = -b^\top v - c^\top h - h^\top W v,

    fitted by stochastic gradient ascent of the likelihood, whose negative phase
    comes from Markov chains: persistent contrastive divergence [1]_ (stochastic
    maximum likelihood) or contrastive divergence [2]_, with the centered
    gradient [3]_. It takes the place of
    :class:`sklearn.neural_network.BernoulliRBM` and adds a deterministic score,
    samples, early stopping and a GPU.

    Parameters
    ----------
    n_components : int, default=256
        Number of hidden units.
    learning_rate : float, default=0.1
        Step of gradient ascent, per mini-batch mean.
    batch_size : int, default=10
        Rows of data a mini-batch.
    n_iter : int, default=10
        Passes over the training data.
    algorithm : {"pcd", "cd"}, default="pcd"
        Where the chains of the negative phase start at each mini-batch: where
        they stopped the last time ("pcd"), or at the data ("cd").
    n_gibbs_steps : int, default=1
        Steps of block Gibbs sampling a mini-batch.
    n_chains : int or None, default=None
        Number of persistent chains; None means `batch_size`. "cd" has as many
        chains as the mini-batch has rows.
    centered : bool, default=True
        Whether to follow the centered gradient, which does not depend on what
        is called 0 and what 1, and reaches a better likelihood.
    momentum : float, default=0.0
        Momentum of the gradient step, in [0, 1).
    weight_decay : float, default=0.0
        L2 penalty on `components_`: each step takes off ``learning_rate *
        weight_decay`` times the weights.
    learning_rate_schedule : {"constant", "linear", "one_cycle"}, default="constant"
        "linear" lets the learning rate fall to zero over `n_iter`; "one_cycle"
        lets it rise first, over 30 % of them.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows and to stop when
        the pseudo-likelihood there has not risen by `tol` for
        `n_iter_no_change` epochs. The best parameters seen are restored.
    validation_fraction : float, default=0.1
        Share of the rows held out, if `early_stopping` or if one of `callbacks`
        watches held-out rows.
    n_iter_no_change : int, default=10
        Epochs without improvement that `early_stopping` waits.
    tol : float, default=1e-4
        The least rise of the pseudo-likelihood, in nats per sample, that
        `early_stopping` takes for one.
    callbacks : list of skorch callbacks or None, default=None
        Callbacks of skorch, as its `NeuralNet` takes them. Copies are used, and
        are found in ``net_.callbacks_`` afterwards. With callbacks, `verbose`
        or `early_stopping` the history has ``train_loss`` and, where rows are
        held out, ``valid_loss``: minus the mean pseudo-likelihood of a fixed
        subset, 128 rows or 1 % of the training rows if that is more. A pickle
        of a fitted estimator has no callbacks.
    device : str or torch.device, default="auto"
        "auto" means "cuda" if there is such a device, else "cpu". A fitted
        estimator whose device is missing answers on the CPU.
    precision : {"float32", "float64"}, default="float32"
        Precision of training and of the parameters. `transform`,
        `score_samples` and the like compute in the dtype of their input.
    warm_start : bool, default=False
        Whether `fit` goes on from the last solution.
    verbose : int, default=0
        If not 0, shows epoch, pseudo-likelihood and remaining time: a progress
        bar in a terminal or notebook, elsewhere a line an epoch.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, shuffling, chains and samples. An int gives
        the same bits each time on one machine and device.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Couplings W. This, `intercept_hidden_` and `intercept_visible_` are the
        state of the model: they may be assigned, also without a fit.
    intercept_hidden_ : ndarray of shape (n_components,)
        Fields c on the hidden units.
    intercept_visible_ : ndarray of shape (n_features,)
        Fields b on the visible units.
    h_samples_ : ndarray of shape (n_chains, n_components)
        Hidden states of the persistent chains ("pcd" only).
    mean_ : ndarray of shape (n_features,)
        Mean of the rows seen in training.
    n_samples_seen_ : int
        Number of rows that `mean_` is the mean of.
    n_iter_ : int
        Number of epochs run.
    history_ : skorch.history.History
        A row an epoch.
    net_ : skorch.NeuralNet
        The net that trained the model.
    device_ : str
        Where the model was trained.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, if they are all strings.

    See Also
    --------
    sklearn.neural_network.BernoulliRBM : The estimator that this one replaces.

    Notes
    -----
    Weights start as normal random numbers of standard deviation
    :math:`2 \sqrt{2 / (n_\text{features} + n_\text{components})}`, and biases such
    that, given the means of the other layer, visible units have the means of the
    data and hidden units are on with probability 0.12.

    Data in [0, 1] that is not binary is taken as probabilities, as scikit-learn
    does: the values themselves stand in the gradient, no bits are drawn from
    them. A score is the log of a probability for binary data only.

    References
    ----------
    .. [1] T. Tieleman, "Training restricted Boltzmann machines using
       approximations to the likelihood gradient", ICML 2008.
    .. [2] G. E. Hinton, "Training products of experts by minimizing contrastive
       divergence", Neural Computation 14, 2002.
    .. [3] J. Melchior, A. Fischer and L. Wiskott, "How to center deep Boltzmann
       machines", Journal of Machine Learning Research 17, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import BernoulliRBMGPU
    >>> X = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> model = BernoulliRBMGPU(n_components=2, random_state=0).fit(X)
    >>> model.transform(X).shape
    (4, 2)
    >>> model.sample(5).shape
    (5, 3)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseGenerator._parameter_constraints,
        "algorithm": [StrOptions({"pcd", "cd"})],
        "n_gibbs_steps": [Interval(Integral, 1, None, closed="left")],
        "n_chains": [Interval(Integral, 1, None, closed="left"), None],
        "centered": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
    }

    _score_name = "pseudo-likelihood"
    _required_state = ("components_", "intercept_hidden_", "intercept_visible_")
    _state_names = (*_required_state, "h_samples_", "mean_", "n_samples_seen_")

    def __init__(
        self,
        n_components=256,
        *,
        learning_rate=0.1,
        batch_size=10,
        n_iter=10,
        algorithm="pcd",
        n_gibbs_steps=1,
        n_chains=None,
        centered=True,
        momentum=0.0,
        weight_decay=0.0,
        learning_rate_schedule="constant",
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        callbacks=None,
        device="auto",
        precision="float32",
        warm_start=False,
        verbose=0,
        random_state=None,
    ):
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.algorithm = algorithm
        self.n_gibbs_steps = n_gibbs_steps
        self.n_chains = n_chains
        self.centered = centered
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.learning_rate_schedule = learning_rate_schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.callbacks = callbacks
        self.device = device
        self.precision = precision
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    def transform(self, X: Any) -> np.ndarray:
        r"""Compute the features P(h = 1 | v) :math:`= \sigma(W v + c)`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states.

        Returns
        -------
        H : ndarray of shape (n_samples, n_components)
            Hidden probabilities, in the dtype of X.
        """
        return self._apply(BernoulliRBM.hidden_probability, self._validate_data(X))

    def inverse_transform(self, H: Any) -> np.ndarray:
        r"""Compute the conditional mean P(v = 1 | h) :math:`= \sigma(W^\top h + b)`.

        Parameters
        ----------
        H : array-like of shape (n_samples, n_components)
            Hidden states or probabilities.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Visible probabilities, in the dtype of H.
        """
        H = self._validate_components(H)
        return self._apply(BernoulliRBM.visible_probability, H)

    def score_samples(self, X: Any) -> np.ndarray:
        r"""Compute the exact log pseudo-likelihood of each sample.

        .. math:: \log \mathrm{PL}(v) = \sum_i \log p(v_i \mid v_{-i})
                  = \sum_i \log \sigma\left(F(v^{(i)}) - F(v)\right)

        with all single-bit flips :math:`v^{(i)}` (Besag, 1975). It is
        deterministic, and takes O(n_features · n_components) a row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states.

        Returns
        -------
        log_pl : ndarray of shape (n_samples,)
            Log pseudo-likelihood in nats, higher is better.
        """
        return self._apply(pseudo_log_likelihood, self._validate_data(X))

    def free_energy(self, v: Any) -> np.ndarray:
        r"""Compute the free energy :math:`F(v) = -\log \sum_h e^{-E(v, h)}`.

        Parameters
        ----------
        v : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states.

        Returns
        -------
        free_energy : ndarray of shape (n_samples,)
            Free energy in nats: :math:`\log p(v) = -F(v) - \log Z`.
        """
        return self._apply(BernoulliRBM.free_energy, self._validate_data(v))

    def log_likelihood(self, X: Any) -> np.ndarray:
        r"""Compute the exact log-likelihood, :math:`\log p(v) = -F(v) - \log Z`.

        Z is summed by enumeration of the smaller layer in float64, which takes
        :math:`2^{\min(n_\text{features}, n_\text{components})}` terms.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Log-likelihood in nats.

        Raises
        ------
        ValueError
            If both layers have more than 25 units.
        """
        X = self._validate_data(X)
        with torch.inference_mode():
            model = self._model(torch.float64, self._inference_device())
            log_z = log_partition_exact(model)
        return -self._apply(BernoulliRBM.free_energy, X) - log_z

    def gibbs(self, v: Any) -> np.ndarray:
        """Perform one Gibbs sampling step, v → h → v.

        Parameters
        ----------
        v : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states to start from.

        Returns
        -------
        v_new : ndarray of shape (n_samples, n_features)
            Visible states after one step, zeros and ones in the dtype of `v`.
            Each call draws anew, from ``random_state_``.
        """
        v = self._validate_data(v)
        if not hasattr(self, "random_state_"):
            self.random_state_ = check_random_state(self.random_state)
        generator = self._generator(self.random_state_)
        return self._apply(partial(gibbs, n_steps=1, generator=generator), v)

    @validate_params(
        {
            "n_samples": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
            "n_gibbs_steps": [Interval(Integral, 0, None, closed="left")],
        },
        prefer_skip_nested_validation=True,
    )
    def sample(
        self,
        n_samples: int = 1,
        *,
        random_state: Any = None,
        n_gibbs_steps: int = 1000,
    ) -> np.ndarray:
        """Draw samples from fresh Markov chains.

        Each sample is the end of a chain of its own, which starts at
        independent bits with the means of the training data and is never
        that of training.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples.
        random_state : int, RandomState instance or None, default=None
            Source of randomness; None means the estimator's own. An int gives
            the same samples at every call.
        n_gibbs_steps : int, default=1000
            Steps of block Gibbs sampling. The law of the samples is that of the
            model once the chains have mixed, which takes the longer the larger
            the weights are.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Visible states, zeros and ones in the dtype of `components_`.
        """
        check_is_fitted(self)
        rng = self._rng(random_state)
        means = _marginals(self._state())
        start = rng.uniform(size=(n_samples, len(means))) < means
        generator = self._generator(rng)
        return self._apply(
            partial(gibbs, n_steps=n_gibbs_steps, generator=generator),
            start.astype(self.components_.dtype),
        )

    @property
    def _n_features_out(self) -> int:
        return self.components_.shape[0]

    def _validate_training_data(self, X: Any, *, reset: bool) -> Any:
        X = super()._validate_training_data(X, reset=reset)
        warn_outside_unit_interval(X)
        return X

    def _validate_data(self, X: Any) -> Any:
        X = super()._validate_data(X)
        _check_width(X, self.components_)
        return X

    def _start(self, X: Any, state: State) -> State:
        rng, dtype = self.random_state_, X.dtype
        n_new = X.shape[0]
        state = dict(state)
        n_seen = state.get("n_samples_seen_", 0)
        mean = np.asarray(X.sum(axis=0, dtype=np.float64)).ravel() / n_new
        if n_seen:
            mean = state["mean_"] + (mean - state["mean_"]) * (n_new / (n_seen + n_new))
        state["mean_"], state["n_samples_seen_"] = mean, n_seen + n_new
        if "components_" not in state:
            seed = draw_seed(rng)
            start = starting_parameters(
                torch.from_numpy(_marginals(state)),
                self.n_components,
                generator=torch.Generator().manual_seed(seed),
            )
            for name, tensor in zip(self._required_state, start, strict=True):
                state[name] = tensor.numpy().astype(dtype)
        _check_width(X, state["components_"])
        n_components = len(state["components_"])
        if n_components != self.n_components:
            raise ValueError(
                f"Got n_components={self.n_components}, but the fit goes on from "
                f"components_ with {n_components} rows. Set n_components="
                f"{n_components}, or fit with warm_start=False."
            )
        shape = (self.n_chains or self.batch_size, n_components)
        if self.algorithm == "cd":
            state.pop("h_samples_", None)
        elif "h_samples_" not in state or state["h_samples_"].shape != shape:
            state["h_samples_"] = (rng.uniform(size=shape) < 0.5).astype(dtype)
        return state

    def _build_model(self, state: State) -> BernoulliRBM:
        weight, c, b = (
            np.array(state[name], dtype=np.result_type(state[name], np.float32))
            for name in self._required_state
        )
        if weight.ndim != 2 or (c.shape, b.shape) != (
            weight.shape[:1],
            weight.shape[1:],
        ):
            raise ValueError(
                f"Got components_ of shape {weight.shape}, intercept_hidden_ of shape "
                f"{c.shape} and intercept_visible_ of shape {b.shape}, but expected "
                "(n_components, n_features), (n_components,) and (n_features,)."
            )
        return BernoulliRBM(*(torch.from_numpy(array) for array in (weight, c, b)))

    def _build_objective(self, state: State) -> ContrastiveDivergence:
        chains, mu, lam = state.get("h_samples_"), None, None
        if self.centered:
            mu = _marginals(state)
            # A first guess, in mean field; it follows the data from there.
            lam = expit(state["components_"] @ mu + state["intercept_hidden_"])
        return ContrastiveDivergence(
            *(None if a is None else torch.tensor(a) for a in (chains, mu, lam)),
            n_steps=self.n_gibbs_steps,
        )

    def _read(self, state: State, model: Any, objective: Any) -> State:
        trained = (*model.parameters(), objective.chains)
        names = (*self._required_state, "h_samples_")
        return state | {
            name: tensor.detach().cpu().numpy().copy()
            for name, tensor in zip(names, trained, strict=True)
            if tensor is not None
        }

    def _optimizer(self) -> dict[str, Any]:
        # Only the couplings decay, as is usual: biases need no shrinking.
        return {
            "optimizer": torch.optim.SGD,
            "optimizer__momentum": self.momentum,
            "optimizer__param_groups": [
                ("weight", {"weight_decay": self.weight_decay})
            ],
        }


def _check_width(X: Any, components: np.ndarray) -> None:
    """Weights may be assigned: the width that was seen in a fit does not bind."""
    if X.shape[1] != components.shape[1]:
        raise ValueError(
            f"Got X with {X.shape[1]} features, but expected {components.shape[1]}, "
            "the number of columns of components_."
        )


def _marginals(state: State) -> np.ndarray:
    """Means of the visible units over the data, away from 0 and 1."""
    if "mean_" not in state:
        # Weights from elsewhere: the machine's own fields are all there is.
        return expit(np.asarray(state["intercept_visible_"], dtype=np.float64))
    margin = 1 / (state["n_samples_seen_"] + 2)
    return np.clip(state["mean_"], margin, 1 - margin)
