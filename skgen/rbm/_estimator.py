"""BernoulliRBMGPU: the restricted Boltzmann machine as an estimator."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.utils._param_validation import Hidden, StrOptions
from torch import Tensor, nn

from skgen._deprecation import (
    renamed_attribute,
    renamed_parameter,
    warn_renamed_parameter,
)
from skgen.base._export import Threshold
from skgen.base._fitting import State, draw_seed
from skgen.base._typing import (
    Algorithm,
    Binarize,
    Callbacks,
    Device,
    Precision,
    RandomState,
    Schedule,
)
from skgen.base._validation import bits_or_probabilities
from skgen.nn import BernoulliObservation
from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._model import initial_parameters
from skgen.rbm._parallel_tempering import ParallelTempering
from skgen.rbm._pseudo_likelihood import pseudo_log_likelihood
from skgen.rbm._reused_models import reused_model
from skgen.rbm._state import (
    PARAMETERS,
    BernoulliRBMState,
    RBMState,
    parameter_arrays,
)
from skgen.rbm._trainable_base import TrainableRBM
from skgen.training import RowSource
from skgen.training._block_rows import BlockRows

_DEPRECATED = ["boolean", Hidden(StrOptions({"deprecated"}))]


class BernoulliRBMGPU(TrainableRBM):
    r"""Bernoulli restricted Boltzmann machine, trained on a GPU if there is one.

    An energy-based model of binary data v with binary hidden units h,

    .. math:: p(v, h) = e^{-E(v, h)} / Z, \quad
              E(v, h) = -b^\top v - c^\top h - h^\top W v,

    fitted by stochastic gradient ascent of the likelihood, whose negative phase
    comes from Markov chains: persistent contrastive divergence [1]_ (stochastic
    maximum likelihood) or contrastive divergence [2]_, with the centered
    gradient [3]_. It can replace
    :class:`sklearn.neural_network.BernoulliRBM`, and adds a deterministic score,
    samples, early stopping and training on a GPU.

    Parameters
    ----------
    n_components : int, default=256
        Number of hidden units.
    learning_rate : float, default=0.1
        Factor of the gradient of the mean log-likelihood of a mini-batch in each
        step.
    batch_size : int, default=10
        Number of rows of a mini-batch.
    n_iter : int, default=10
        Number of passes over the training data.
    algorithm : {"pcd", "cd", "pt"}, default="pcd"
        Where the chains of the negative phase start at each mini-batch: where
        they stopped the last time ("pcd"), or at the data ("cd"). With "pt",
        parallel tempering [4]_, persistent chains swap states with those of a
        ladder of models that mix faster, at a cost proportional to their number.
    n_gibbs_steps : int, default=1
        Number of steps of block Gibbs sampling for each mini-batch.
    n_chains : int or None, default=None
        Number of persistent chains; None means `batch_size`. "cd" has as many
        chains as the mini-batch has rows.
    n_temperatures : int, default=10
        Number of evenly spaced inverse temperatures of the ladder of "pt", from
        independent bits to the model. Not used with `keep_trajectory`.
    keep_trajectory : bool, default=False
        Whether to keep models along the training, each of which swaps states with
        the next with a probability of about 0.4 [5]_. They are in ``trajectory_``:
        a ladder for `sample` and `log_partition_function`, and with "pt" for the
        training itself. It takes the memory of some tens of copies of the parameters.
    centered : bool, default=True
        Whether to follow the centered gradient [3]_. It stays the same if 0 and 1
        are exchanged in the data, and reaches a better likelihood.
    momentum : float, default=0.0
        Momentum of the gradient step, in [0, 1).
    weight_decay : float, default=0.0
        L2 penalty on `components_`: each step subtracts ``learning_rate *
        weight_decay`` times the weights.
    learning_rate_schedule : {"constant", "linear", "one_cycle"}, default="constant"
        With "linear" the learning rate falls to zero over `n_iter` epochs; with
        "one_cycle" it rises during the first 30 % of them and then falls to zero.
    binarize : {"none", "threshold", "sample"}, default="none"
        How values between 0 and 1 are used: as they are in all formulas ("none", as
        in scikit-learn), as 1 if they are above 0.5 and 0 otherwise ("threshold"), or
        as the probabilities of bits, which are drawn again in every epoch ("sample").
        With "sample", `score_samples`, `free_energy` and `log_likelihood` draw the
        bits of a row from random numbers that are a function of the row alone, so
        that they are always the same, and `transform` uses the values as they are.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows and to stop when
        their pseudo-likelihood has not increased by `tol` for
        `n_iter_no_change` epochs, and for 200 mini-batches at least. The parameters
        and chains of the best epoch are restored.
    validation_fraction : float, default=0.1
        Fraction of the rows that is held out, with `early_stopping` or if one of
        `callbacks` uses held-out rows.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops.
    tol : float, default=1e-4
        The smallest increase of the pseudo-likelihood, in nats per sample, that
        counts as an improvement for `early_stopping`.
    callbacks : list of skorch callbacks or None, default=None
        Callbacks of skorch, as its `NeuralNet` takes them. Copies are used, which
        are in ``net_.callbacks_`` afterwards. Their parameters can be set and
        searched as ``callbacks__name__parameter``, by skorch's names: the one given,
        or that of the class. A pickle of a fitted estimator has no callbacks. The
        parameters have the names ``weight``, ``hidden_bias`` and ``visible_bias``
        there; what a `Freezer` has frozen stays so in a warm start with the same
        callbacks.
    device : str or torch.device, default="auto"
        "auto" means "cuda" if there is such a device, otherwise "cpu". A fitted
        estimator uses the CPU where its device is missing.
    precision : {"float32", "float64", "bfloat16", "tf32"}, default="float32"
        Precision of training. With "bfloat16" the factors of matrix products are
        rounded to bfloat16, while parameters and sums are float32; it is faster only
        where the hardware multiplies bfloat16 (GPUs, CPUs with AMX). With "tf32" a
        CUDA device rounds float32 factors to 10 bits. `transform`, `score_samples`
        and the other methods compute in the dtype of their input.
    warm_start : bool, default=False
        Whether `fit` continues from the last solution.
    verbose : int, default=0
        If not 0, epoch, pseudo-likelihood and remaining time are shown: as a progress
        bar in a terminal or notebook, elsewhere as one line for each epoch.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, shuffling, chains and samples. An int gives
        identical results each time on one machine and device.
    keep_rungs : bool, default="deprecated"
        The old name of `keep_trajectory`.

        .. deprecated:: 0.2
           `keep_rungs` will be removed in version 0.4.
    compile : bool, default="deprecated"
        It has no effect.

        .. deprecated:: 0.2
           `compile` will be removed in version 0.4.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Weights W. This, `intercept_hidden_` and `intercept_visible_` are the
        parameters of the model: they may be assigned, also without a fit.
    intercept_hidden_ : ndarray of shape (n_components,)
        Biases c of the hidden units.
    intercept_visible_ : ndarray of shape (n_features,)
        Biases b of the visible units.
    h_samples_ : ndarray of shape (n_chains, n_components)
        Hidden states of the persistent chains, not with "cd"; with "pt" of shape
        (n_replicas, n_chains, n_components), those of the trained model last.
    trajectory_ : dict of str to ndarray
        Models that were kept in training, the oldest first, if `keep_trajectory`:
        `components_`, `intercept_hidden_` and `intercept_visible_`, each with one
        more axis in front.
    mean_ : ndarray of shape (n_features,)
        Mean of the rows seen in training.
    n_samples_seen_ : int
        Number of rows of which `mean_` is the mean.
    n_iter_ : int
        Number of epochs run.
    history_ : skorch.history.History
        One row for each epoch. ``train_loss`` is minus the mean pseudo-likelihood of
        training rows in the course of the epoch, an estimate from a few of them: it
        fluctuates by a nat or some where epochs are short, and does not touch the
        random numbers of training.
        Where rows are held out, ``valid_loss`` is that of a fixed subset of these
        after the epoch: 128 rows, or 0.5 % of the number of training rows if that is
        more; with more than 64 features, estimated from 64 of them.
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
    sklearn.neural_network.BernoulliRBM : The same model in scikit-learn, trained on
        the CPU by persistent contrastive divergence.

    Notes
    -----
    Weights start as normal random numbers of standard deviation
    :math:`2 \sqrt{2 / (n_\text{features} + n_\text{components})}`, and biases such
    that, given the means of the other layer, visible units have the means of the
    data and hidden units are 1 with probability 0.12.

    Data in [0, 1] that is not binary is taken as probabilities, as in scikit-learn:
    with ``binarize="none"`` the values themselves are used in the gradient, and no
    bits are drawn from them. A score is then the log of a probability for binary
    data only. Values outside [0, 1] by more than rounding are neither: `fit` and all
    methods that take data warn of them, except with ``binarize="threshold"``.

    References
    ----------
    .. [1] T. Tieleman, "Training restricted Boltzmann machines using
       approximations to the likelihood gradient", ICML 2008.
    .. [2] G. E. Hinton, "Training products of experts by minimizing contrastive
       divergence", Neural Computation 14, 2002.
    .. [3] J. Melchior, A. Fischer and L. Wiskott, "How to center deep Boltzmann
       machines", Journal of Machine Learning Research 17, 2016.
    .. [4] G. Desjardins, A. Courville, Y. Bengio, P. Vincent and O. Delalleau,
       "Tempered Markov chain Monte Carlo for training of restricted Boltzmann
       machines", AISTATS 2010.
    .. [5] N. Béreux, A. Decelle, C. Furtlehner, L. Rosset and B. Seoane, "Fast
       training and sampling of restricted Boltzmann machines", ICLR 2025.

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
        **TrainableRBM._parameter_constraints,
        "binarize": [StrOptions({"none", "threshold", "sample"})],
        "keep_rungs": _DEPRECATED,
        "compile": _DEPRECATED,
    }

    _state_class = BernoulliRBMState
    _contrastive_divergence = ContrastiveDivergence
    _parallel_tempering = ParallelTempering

    def __init__(
        self,
        n_components: int = 256,
        *,
        learning_rate: float = 0.1,
        batch_size: int = 10,
        n_iter: int = 10,
        algorithm: Algorithm = "pcd",
        n_gibbs_steps: int = 1,
        n_chains: int | None = None,
        n_temperatures: int = 10,
        keep_trajectory: bool = False,
        centered: bool = True,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        learning_rate_schedule: Schedule = "constant",
        binarize: Binarize = "none",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        callbacks: Callbacks = None,
        device: Device = "auto",
        precision: Precision = "float32",
        warm_start: bool = False,
        verbose: bool | int = 0,
        random_state: RandomState = None,
        keep_rungs: bool | Literal["deprecated"] = "deprecated",
        compile: bool | Literal["deprecated"] = "deprecated",
    ) -> None:
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.algorithm = algorithm
        self.n_gibbs_steps = n_gibbs_steps
        self.n_chains = n_chains
        self.n_temperatures = n_temperatures
        self.keep_trajectory = keep_trajectory
        self.centered = centered
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.learning_rate_schedule = learning_rate_schedule
        self.binarize = binarize
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
        self.keep_rungs = keep_rungs
        self.compile = compile

    def __getattr__(self, name: str) -> Any:
        if name == "rungs_":
            return renamed_attribute(self, "rungs_", "trajectory_")
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}"
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read a pickle, also one that has the old names."""
        state = dict(state)
        if "keep_trajectory" not in state:  # of version 0.1
            state["keep_trajectory"] = state["keep_rungs"]
            state["keep_rungs"] = state["compile"] = "deprecated"
            if "rungs_" in state:
                state["trajectory_"] = state.pop("rungs_")
        super().__setstate__(state)

    @property
    def _keeps_trajectory(self) -> bool:
        return renamed_parameter(self, "keep_rungs", "keep_trajectory")

    def score_samples(self, X: Any) -> np.ndarray:
        r"""Compute the exact log pseudo-likelihood of each sample.

        .. math:: \log \mathrm{PL}(v) = \sum_i \log p(v_i \mid v_{-i})
                  = \sum_i \log \sigma\left(F(v^{(i)}) - F(v)\right)

        with all single-bit flips :math:`v^{(i)}` (Besag, 1975). It is
        deterministic, and takes O(n_features · n_components) operations per row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible states.

        Returns
        -------
        log_pl : ndarray of shape (n_samples,)
            Log pseudo-likelihood in nats, higher is better.
        """
        return self._apply_to_states(pseudo_log_likelihood, X)

    def _validate_training_data(
        self, X: Any, y: Any, *, reset: bool
    ) -> tuple[Any, None]:
        warn_renamed_parameter(self, "keep_rungs", "keep_trajectory")
        warn_renamed_parameter(self, "compile", None)
        return super()._validate_training_data(X, y, reset=reset)

    def _valid_states(self, X: Any) -> Any:
        return bits_or_probabilities(X, self.binarize)

    def _torch_preparation(self) -> nn.Module:
        return Threshold() if self.binarize == "threshold" else nn.Identity()

    def _random_states(
        self, shape: tuple[int, int], rng: np.random.RandomState
    ) -> np.ndarray:
        state: Any = self._state()
        return rng.uniform(size=shape) < state.visible_means()

    @property
    def _sample_dtype(self) -> np.dtype:
        return np.result_type(self.components_, np.float32)

    def _moved(self, run: Callable[..., Tensor], v: Any) -> np.ndarray:
        if isinstance(v, BlockRows):
            v = v.whole()  # as large as the result
        # Bits lose nothing in the dtype of the weights, whose conversion would take
        # most of the time of a step of a single row.
        after = super()._moved(run, v.astype(self._sample_dtype, copy=False))
        return after.astype(v.dtype, copy=False)

    def _apply_to_states(
        self, function: Callable[[Any, Tensor], Tensor], X: Any
    ) -> np.ndarray:
        # A score is that of bits.
        observation = BernoulliObservation(sampled=self.binarize == "sample")

        def of_bits(model: Any, x: Tensor) -> Tensor:
            return function(model, observation.observe(x, generator=None))

        return super()._apply_to_states(of_bits, X)

    def _model(self, dtype: torch.dtype, device: torch.device) -> Any:
        return reused_model(self, dtype, device, super()._model)

    def _described(self, rows: RowSource, state: RBMState) -> State:
        n_new, n_seen = rows.shape[0], state.get("n_samples_seen_", 0)
        mean = rows.column_sums() / n_new
        if n_seen:
            mean = state["mean_"] + (mean - state["mean_"]) * (n_new / (n_seen + n_new))
        return {"mean_": mean, "n_samples_seen_": n_seen + n_new}

    def _initial_parameters(self, state: Any) -> State:
        parameters = initial_parameters(
            torch.from_numpy(state.visible_means()),
            self.n_components,
            generator=torch.Generator().manual_seed(draw_seed(self.random_state_)),
        )
        arrays = (parameter.numpy().astype(self._dtype) for parameter in parameters)
        return dict(zip(PARAMETERS, arrays, strict=True))

    def _parameters_of(self, model: Any, state: RBMState) -> State:
        return parameter_arrays(model)

    def _objective_options(self, state: RBMState) -> dict[str, Any]:
        sampled = self.binarize == "sample"
        return {**super()._objective_options(state), "sampled": sampled}
