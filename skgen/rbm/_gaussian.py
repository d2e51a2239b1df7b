"""GaussianRBM: the restricted Boltzmann machine of real-valued data."""

from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from skgen.base._export import Units
from skgen.base._fitting import State, draw_seed
from skgen.base._standardization import (
    LEAST_NOISE,
    Standardization,
    estimate_units,
    noise_floor,
    sums_of_powers,
)
from skgen.base._typing import (
    Algorithm,
    AutoSchedule,
    Callbacks,
    Device,
    NoiseVariance,
    Precision,
    RandomState,
)
from skgen.base._validation import warn
from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._gaussian_model import GaussianBernoulliRBM, initial_gaussian_parameters
from skgen.rbm._gaussian_objective import (
    GaussianContrastiveDivergence,
    GaussianParallelTempering,
)
from skgen.rbm._gaussian_pseudo_likelihood import gaussian_pseudo_log_likelihood
from skgen.rbm._gaussian_state import GaussianRBMState
from skgen.rbm._state import RBMState
from skgen.rbm._trainable_base import TrainableRBM, epochs_of_machine
from skgen.training import RowSource
from skgen.training._rows import is_read_by_blocks, row_source
from skgen.training._schedules import SCHEDULES

# Variance of all rows over that of the first ones, from which on limits rise.
_MORE = 1.01


class GaussianRBM(TrainableRBM):
    r"""Restricted Boltzmann machine of real-valued data, with binary hidden units.

    An energy-based model of real data v with binary hidden units h [1]_ [2]_,

    .. math:: p(v, h) = e^{-E(v, h)} / Z, \quad
              E(v, h) = \sum_i \frac{(v_i - c_i)^2}{2 \sigma_i^2} - \sum_j h_j
              \Big( b_j + \sum_i W_{ji} \frac{v_i}{\sigma_i^2} \Big).

    Given h, the features are normal, :math:`\mathcal{N}(c + W^\top h,
    \operatorname{diag} \sigma^2)`: the model is a mixture of
    :math:`2^{n_\text{components}}` Gaussians, whose centers and weights share
    parameters. It is fitted by stochastic gradient ascent of the likelihood with the
    centered gradient, whose negative phase comes from Markov chains, as in
    :class:`BernoulliRBMGPU`. The score is the log pseudo-likelihood in nats, exact by
    quadrature, with all constants.

    Each feature is standardised inside of the model, so that units and offsets of the
    features do not matter. All parameters are in the units of X.

    Parameters
    ----------
    n_components : int, default=256
        Number of hidden units.
    learning_rate : float, default=0.1
        Factor of the step of each mini-batch, for standardised features (see Notes).
        With 256 components training diverges from about 0.3 on.
    batch_size : int, default=100
        Number of rows of a mini-batch.
    n_iter : int or "auto", default="auto"
        Number of passes over the training data (epochs). "auto" counts steps, that is
        mini-batches: as many epochs as make at least 2500 steps, and at least 20.
    noise_variance : float, "learned" or "per_feature", default="per_feature"
        Variance :math:`\sigma^2` of the noise: one for each feature that is learned
        ("per_feature"), one for all that is learned ("learned"), or a fixed number for
        all, in the units of X squared. Learned variances have a lower limit (see
        Notes).
    algorithm : {"pcd", "cd", "pt"}, default="pcd"
        Where the chains of the negative phase start at each mini-batch: where
        they stopped the last time ("pcd"), or at the data ("cd"). With "pt",
        parallel tempering, persistent chains swap states with those of a
        ladder of models that mix faster, at a cost proportional to their number.
        "cd" underestimates variances that are learned, down to their lower limit; it
        is for a fixed `noise_variance`.
    n_gibbs_steps : int, default=1
        Number of steps of block Gibbs sampling for each mini-batch.
    n_chains : int or None, default=None
        Number of persistent chains; None means `batch_size`. "cd" has as many
        chains as the mini-batch has rows.
    n_temperatures : int, default=10
        Number of evenly spaced inverse temperatures of the ladder of "pt", from
        independent units to the model. Not used with `keep_trajectory`.
    keep_trajectory : bool, default=False
        Whether to keep models along the training, each of which swaps states with
        the next with a probability of about 0.4. They are in ``trajectory_``:
        a ladder for `sample` and `log_partition_function`, and with "pt" for the
        training itself. It takes the memory of some tens of copies of the parameters.
    centered : bool, default=True
        Whether to follow the centered gradient [3]_.
    momentum : float, default=0.0
        Momentum of the step, in [0, 1).
    weight_decay : float, default=0.0
        L2 penalty on the weights of standardised features: each step subtracts
        ``learning_rate * weight_decay`` times the weights.
    learning_rate_schedule : str, default="auto"
        "constant", "linear", "one_cycle" or "auto". With "linear" the learning rate
        falls to zero over `n_iter` epochs; with "one_cycle" it rises during the first
        30 % of them and then falls to zero.
        "auto" means "constant" if one of `callbacks` is an `LRScheduler`, and "linear"
        otherwise.
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
        parameters have the names ``weight``, ``hidden_bias``, ``visible_bias`` and
        ``log_variance`` there.
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

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Weights W, in the units of X: `inverse_transform` is ``intercept_visible_ + H @
        components_``. This, the intercepts and `noise_variance_` are the parameters of
        the model: they may be assigned, also without a fit.
    intercept_hidden_ : ndarray of shape (n_components,)
        Biases b of the hidden units: `transform` is the logistic function of
        ``intercept_hidden_ + (X / noise_variance_) @ components_.T``.
    intercept_visible_ : ndarray of shape (n_features,)
        Centers c.
    noise_variance_ : float or ndarray of shape (n_features,)
        Variances of the noise, in the units of X squared.
    h_samples_ : ndarray of shape (n_chains, n_components)
        Hidden states of the persistent chains, not with "cd"; with "pt" of shape
        (n_replicas, n_chains, n_components), those of the trained model last.
    trajectory_ : dict of str to ndarray
        Models that were kept in training, the oldest first, if `keep_trajectory`:
        the four parameters, each with one more axis in front.
    mean_ : ndarray of shape (n_features,)
        Mean of the rows seen in training.
    var_ : ndarray of shape (n_features,)
        Variance of the rows seen in training.
    n_samples_seen_ : int
        Number of rows from which `mean_` and `var_` were computed.
    n_iter_ : int
        Number of epochs run.
    history_ : skorch.history.History
        One row for each epoch. ``train_loss`` is minus the mean pseudo-likelihood of
        training rows in the course of the epoch, an estimate from a few features of a
        few rows, which fluctuates; one stands for epochs of 128 mini-batches together.
        Where rows are held out, ``valid_loss`` is that of a
        fixed subset of these after the epoch: 128 rows, or 0.5 % of the number of
        training rows if that is more; with more than 16 features, estimated from 16.
        Both are of standardised features.
    net_ : skorch.NeuralNet
        The net that trained the model. It works on standardised data.
    device_ : str
        Where the model was trained.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, if they are all strings.

    See Also
    --------
    BernoulliRBMGPU : The same for binary data.
    GaussianVAE : A model of real-valued data with continuous latent variables.

    Notes
    -----
    **Units.** In training each feature is centered and divided by its standard
    deviation; if the noise is isotropic ("learned" or a number), all are divided by
    one number, the root of their mean variance. A fit to :math:`a_i x_i + b_i`
    therefore gives the same features and samples in the new units, and a score that
    is lower by :math:`\sum_i \log |a_i|`, up to rounding. At inference rows are
    centered at `intercept_visible_` and divided by the noise, in float64.

    **Steps.** A step follows the moments that the model lacks, with :math:`v` from
    standardised rows,

    .. math:: \Delta W \propto \langle h v^\top \rangle_\text{data} - \langle h v^\top
              \rangle_\text{model}, \quad \Delta c \propto \langle v
              \rangle_\text{data} - \langle v \rangle_\text{model}, \quad
              \Delta b \propto \langle h \rangle_\text{data} - \langle h
              \rangle_\text{model}:

    the likelihood gradient by W and c times :math:`\sigma^2`, in centered coordinates.
    The step of :math:`\log \sigma^2` is 0.3 times its gradient.

    **Average.** The parameters are means over those after each epoch of the last
    quarter of the training [4]_, as the weights of distant modes move to and fro with
    the chains. `partial_fit` and a fit with early stopping take the last ones, or those
    of the best epoch.

    **Start.** Weights start as small normal random numbers, :math:`b` at -3, so that
    few hidden units are on, and variances at those of the data.

    **Limits of the noise.** A learned variance of one feature is at least

    .. math:: \sigma^2_{i,\min} = \frac{1}{n}
              \frac{\langle x_i^4 \rangle}{\langle x_i^2 \rangle^2}
              \langle x_i^2 \rangle

    for n rows of centered data: as a share of the variance, this is the kurtosis over
    the number of rows, between 1e-6 and 1. It is at most the variance of the feature.

    **Outliers.** A value more than 100 robust standard deviations away from the median
    of its column is taken for a fault: `fit` warns, and in training the largest or
    the smallest plausible value takes its place.

    References
    ----------
    .. [1] M. Welling, M. Rosen-Zvi and G. Hinton, "Exponential family harmoniums with
       an application to information retrieval", NeurIPS 2004.
    .. [2] K. Cho, A. Ilin and T. Raiko, "Improved learning of Gaussian-Bernoulli
       restricted Boltzmann machines", ICANN 2011.
    .. [3] J. Melchior, A. Fischer and L. Wiskott, "How to center deep Boltzmann
       machines", Journal of Machine Learning Research 17, 2016.
    .. [4] B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by
       averaging", SIAM Journal on Control and Optimization 30, 1992.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgen import GaussianRBM
    >>> X = load_iris().data
    >>> model = GaussianRBM(n_components=8, n_iter=20, random_state=0).fit(X)
    >>> model.transform(X).shape
    (150, 8)
    >>> model.sample(5).shape
    (5, 4)
    """

    _parameter_constraints: ClassVar[dict] = {
        **TrainableRBM._parameter_constraints,
        "n_iter": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "noise_variance": [
            Interval(Real, 0, None, closed="neither"),
            StrOptions({"learned", "per_feature"}),
        ],
        "learning_rate_schedule": [StrOptions({*SCHEDULES, "auto"})],
    }

    _required_state = GaussianRBMState.parameters
    _state_names = (
        *TrainableRBM._state_names,
        "noise_variance_",
        "var_",
        "_noise_floor",
        "_units",
        "_learns_variance",
    )
    _state_class = GaussianRBMState
    _contrastive_divergence = GaussianContrastiveDivergence
    _parallel_tempering = GaussianParallelTempering

    def __init__(
        self,
        n_components: int = 256,
        *,
        learning_rate: float = 0.1,
        batch_size: int = 100,
        n_iter: int | Literal["auto"] = "auto",
        noise_variance: NoiseVariance = "per_feature",
        algorithm: Algorithm = "pcd",
        n_gibbs_steps: int = 1,
        n_chains: int | None = None,
        n_temperatures: int = 10,
        keep_trajectory: bool = False,
        centered: bool = True,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        learning_rate_schedule: AutoSchedule = "auto",
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
    ) -> None:
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.noise_variance = noise_variance
        self.algorithm = algorithm
        self.n_gibbs_steps = n_gibbs_steps
        self.n_chains = n_chains
        self.n_temperatures = n_temperatures
        self.keep_trajectory = keep_trajectory
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

    def score_samples(self, X: Any) -> np.ndarray:
        r"""Compute the exact log pseudo-likelihood of each sample.

        .. math:: \log \mathrm{PL}(v) = \sum_i \log p(v_i \mid v_{-i}), \quad
                  p(v_i \mid v_{-i}) = \frac{e^{-F(v)}}{\int e^{-F(v)}\, dv_i}

        (Besag, 1975), with all constants, in the units of X. Each density is a mixture
        of Gaussians of variance :math:`\sigma_i^2` as a function of :math:`v_i`; it is
        integrated by the trapezoidal rule with nodes :math:`\sigma_i` apart, whose
        relative error is at most 5e-9. The score is deterministic, and takes O(n_nodes
        · n_features · n_components) operations per row, with some tens of nodes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        log_pl : ndarray of shape (n_samples,)
            Log pseudo-likelihood in nats, higher is better.
        """
        of_model = self._apply_to_states(gaussian_pseudo_log_likelihood, X)
        return of_model - self._log_scale

    @property
    def _per_feature(self) -> bool:
        return self.noise_variance == "per_feature"

    @property
    def _is_learned(self) -> bool:
        return isinstance(self.noise_variance, str)

    @property
    def _data_dtype(self) -> Any:
        # It is centered before it is rounded.
        return [np.float64, np.float32]

    def _validate_training_data(
        self, X: Any, y: Any, *, reset: bool
    ) -> tuple[Any, None]:
        valid = super()._validate_training_data(X, y, reset=reset)
        if self.algorithm == "cd" and self._is_learned:
            warn(
                f"Got algorithm='cd' with noise_variance={self.noise_variance!r}, but "
                "contrastive divergence expects a noise_variance that is given: it "
                "underestimates one that it learns, and the likelihood suffers. Use "
                "algorithm='pcd', or set noise_variance to a number."
            )
        return valid

    def _valid_states(self, X: Any) -> Any:
        return X

    def _random_states(
        self, shape: tuple[int, int], rng: np.random.RandomState
    ) -> np.ndarray:
        state: Any = self._state()
        mean, std = state.mean_and_std()
        return mean + std * rng.normal(size=shape)

    @property
    def _sample_dtype(self) -> np.dtype:
        return np.dtype(self._inference_units.dtype)

    @property
    def _inference_units(self) -> Standardization:
        state: Any = self._state()
        return state.inference_units()

    def _in_model_units(self, X: Any) -> Any:
        return self._inference_units.of_rows(row_source(X), bounded=False)

    def _torch_units(self) -> Units:
        return Units(self._inference_units)

    def _in_units_of_data(self, v: np.ndarray) -> np.ndarray:
        return self._inference_units.undo(v)

    @property
    def _log_scale(self) -> float:
        return self._inference_units.log_scale

    @property
    def _layers(self) -> tuple[int, int]:
        n_components, n_features = np.shape(self.components_)
        return n_components, n_features

    def _number_of_epochs(self, n_iter: Any, n_rows: int) -> int:
        return epochs_of_machine(n_iter, n_rows, int(self.batch_size))

    def _training_rows(self, X: Any, state: State) -> Any:
        dtype = getattr(torch, str(self._dtype))
        rows, units = row_source(X), state["_units"]
        if is_read_by_blocks(X):
            return units.of_rows(rows, bounded=True, dtype=dtype)
        return units.of_array(rows, dtype)

    def _described(self, rows: RowSource, state: RBMState) -> State:
        units = state.get("_units")
        new: State = {}
        # One scale for all features, or one for each, as noise variances are.
        had_one = np.ndim(state.get("noise_variance_", ())) == 0
        if units is None or had_one == self._per_feature:
            names = getattr(self, "feature_names_in_", None)
            units = estimate_units(rows, per_feature=self._per_feature, names=names)
            new["_units"] = units
        standard = units.of_rows(rows, bounded=True, dtype=torch.float64)
        if "_units" in new or "_noise_floor" not in state:
            new["_noise_floor"] = noise_floor(standard)
        new["_learns_variance"] = self._is_learned
        if "noise_variance_" in state:
            new["noise_variance_"] = self._as_wanted(
                state["noise_variance_"], rows.shape[1]
            )
        return new | _moments(standard, units, state)

    def _as_wanted(self, variance: Any, n_features: int) -> Any:
        """Return the variances that a fit goes on from as this one has them."""
        if not self._is_learned:
            return float(self.noise_variance)
        if not self._per_feature:
            return float(np.mean(variance))
        return np.broadcast_to(variance, (n_features,)).astype(np.float64)

    def _initial_parameters(self, state: Any) -> State:
        units = state["_units"]
        variance = np.ones(len(units.scale) if self._per_feature else 1)
        if not self._is_learned:
            variance[:] = self.noise_variance / units.scale[0] ** 2
        parameters = initial_gaussian_parameters(
            torch.from_numpy(np.log(variance)),
            (self.n_components, len(units.scale)),
            generator=torch.Generator().manual_seed(draw_seed(self.random_state_)),
        )
        return state.parameters_of(GaussianBernoulliRBM(*parameters), units)

    def _parameters_of(self, model: Any, state: Any) -> State:
        found = state.parameters_of(model, state["_units"])
        found["noise_variance_"] = self._as_wanted(
            found["noise_variance_"], len(found["intercept_visible_"])
        )
        return found

    def _build_objective(self, state: State) -> ContrastiveDivergence:
        objective: Any = super()._build_objective(state)
        if self._is_learned:
            units = state["_units"]
            least = np.clip(state["_noise_floor"], LEAST_NOISE, 1.0)
            if not self._per_feature and units.has_one_scale:
                least = least.max(keepdims=True)
            # More than 1 only where rows vary more than those that units are of.
            share = state["var_"] / units.scale**2
            most = np.where(share > _MORE, share, 1.0)
            if len(least) == 1:
                most = most.max(keepdims=True)
            objective.set_limits(*map(torch.from_numpy, (np.log(least), np.log(most))))
        return objective


def _moments(rows: RowSource, units: Standardization, state: RBMState) -> State:
    """Return mean and variance of all rows seen in training, with new ones."""
    n_new, n_seen = rows.shape[0], state.get("n_samples_seen_", 0)
    squares, _, counts = sums_of_powers(rows)
    mean = rows.column_sums() / counts
    var = squares / counts - mean**2
    mean, var = units.location + units.scale * mean, units.scale**2 * var
    if n_seen:
        share = n_new / (n_seen + n_new)
        step = mean - state["mean_"]
        mean = state["mean_"] + share * step
        var = state["var_"] + share * (var - state["var_"] + (1 - share) * step**2)
    return {"mean_": mean, "var_": var, "n_samples_seen_": n_seen + n_new}
