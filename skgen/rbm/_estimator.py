"""BernoulliRBMGPU: the restricted Boltzmann machine as an estimator."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import expit, logit
from sklearn.utils._param_validation import Interval, StrOptions

from skgen.base._fitting import State, draw_seed
from skgen.base._validation import binarized, column_means, warn_outside_unit_interval
from skgen.rbm._base import check_width, marginals, rungs_of
from skgen.rbm._contrastive_divergence import ContrastiveDivergence
from skgen.rbm._model import BernoulliRBM, starting_parameters
from skgen.rbm._parallel_tempering import ParallelTempering
from skgen.rbm._sampling import RBMSampling
from skgen.rbm._trajectory import Trajectory
from skgen.training import PRECISIONS


class BernoulliRBMGPU(RBMSampling):
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
    algorithm : {"pcd", "cd", "pt"}, default="pcd"
        Where the chains of the negative phase start at each mini-batch: where
        they stopped the last time ("pcd"), or at the data ("cd"). With "pt",
        parallel tempering [4]_, persistent chains swap states with others on a
        ladder of machines that mix faster, which costs as much time as there are
        rungs.
    n_gibbs_steps : int, default=1
        Steps of block Gibbs sampling a mini-batch.
    n_chains : int or None, default=None
        Number of persistent chains; None means `batch_size`. "cd" has as many
        chains as the mini-batch has rows.
    n_temperatures : int, default=10
        Rungs of the ladder of "pt": evenly spaced inverse temperatures, from
        independent bits to the machine. Not used with `keep_rungs`.
    keep_rungs : bool, default=False
        Whether to keep machines along the training, each of which swaps states with
        the next with a probability of about 0.4 [5]_. They are ``rungs_``: a ladder
        for `sample` and `log_partition_function`, and with "pt" for the training
        itself. It takes the memory of some tens of copies of the parameters.
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
    binarize : {"none", "threshold", "sample"}, default="none"
        What happens to values between 0 and 1: they stand in the formulas as they
        are ("none", as in scikit-learn), count as 1 above 0.5 ("threshold"), or are
        the probabilities of bits, which are drawn anew in every epoch ("sample"). In
        the last case `score_samples`, `free_energy` and `log_likelihood` draw the
        bits of a row once and for all, by a rule that depends on the row alone, and
        `transform` takes the values as they are.
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
        subset, 128 rows or 0.5 % of the training rows if that is more; with more
        than 64 features, estimated from 64 of them. A pickle
        of a fitted estimator has no callbacks.
    device : str or torch.device, default="auto"
        "auto" means "cuda" if there is such a device, else "cpu". A fitted
        estimator whose device is missing answers on the CPU.
    precision : {"float32", "float64", "bfloat16", "tf32"}, default="float32"
        Precision of training. With "bfloat16" the factors of matrix products are
        rounded to it, while parameters and sums are float32: faster where the
        hardware multiplies bfloat16 (GPUs, CPUs with AMX), not elsewhere. "tf32"
        lets a CUDA device round float32 factors to 10 bits. `transform`,
        `score_samples` and the like compute in the dtype of their input.
    compile : bool, default=False
        Whether the steps of training are captured as a CUDA graph, which a GPU
        launches at once: for small mini-batches. Not with `keep_rungs` or "pt", and
        without effect on other devices. It has not been run on a GPU yet.
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
        Hidden states of the persistent chains, not with "cd"; with "pt" of shape
        (n_rungs, n_chains, n_components), those of the machine last.
    rungs_ : dict of str to ndarray
        Machines that were kept in training, the oldest first, if `keep_rungs`:
        `components_`, `intercept_hidden_` and `intercept_visible_`, each with one
        axis more in front.
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
    does: with ``binarize="none"`` the values themselves stand in the gradient, no
    bits are drawn from them. A score is then the log of a probability for binary
    data only.

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
        **RBMSampling._parameter_constraints,
        "algorithm": [StrOptions({"pcd", "cd", "pt"})],
        "n_gibbs_steps": [Interval(Integral, 1, None, closed="left")],
        "n_chains": [Interval(Integral, 1, None, closed="left"), None],
        "n_temperatures": [Interval(Integral, 2, None, closed="left")],
        "keep_rungs": ["boolean"],
        "binarize": [StrOptions({"none", "threshold", "sample"})],
        "centered": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
    }

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
        n_temperatures=10,
        keep_rungs=False,
        centered=True,
        momentum=0.0,
        weight_decay=0.0,
        learning_rate_schedule="constant",
        binarize="none",
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        callbacks=None,
        device="auto",
        precision="float32",
        compile=False,
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
        self.n_temperatures = n_temperatures
        self.keep_rungs = keep_rungs
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
        self.compile = compile
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    @property
    def _n_features_out(self) -> int:
        return self.components_.shape[0]

    def _validate_training_data(self, X: Any, *, reset: bool) -> Any:
        X = super()._validate_training_data(X, reset=reset)
        if self.keep_rungs and self.algorithm == "cd":
            raise ValueError(
                "Got keep_rungs=True with algorithm='cd', but only persistent chains "
                "can tell when to keep a machine. Set algorithm='pcd' or 'pt'."
            )
        warn_outside_unit_interval(X)
        return binarized(X, self.binarize)

    def _start(self, X: Any, state: State) -> State:
        rng, dtype = self.random_state_, X.dtype
        n_new = X.shape[0]
        state = dict(state)
        n_seen = state.get("n_samples_seen_", 0)
        mean = column_means(X)
        if n_seen:
            mean = state["mean_"] + (mean - state["mean_"]) * (n_new / (n_seen + n_new))
        state["mean_"], state["n_samples_seen_"] = mean, n_seen + n_new
        if "components_" not in state:
            seed = draw_seed(rng)
            start = starting_parameters(
                torch.from_numpy(marginals(state)),
                self.n_components,
                generator=torch.Generator().manual_seed(seed),
            )
            for name, tensor in zip(self._required_state, start, strict=True):
                state[name] = tensor.numpy().astype(dtype)
        check_width(X, state["components_"])
        n_components = len(state["components_"])
        if n_components != self.n_components:
            raise ValueError(
                f"Got n_components={self.n_components}, but the fit goes on from "
                f"components_ with {n_components} rows. Set n_components="
                f"{n_components}, or fit with warm_start=False."
            )
        if not self.keep_rungs:
            state.pop("rungs_", None)
        elif "rungs_" not in state:
            state["rungs_"] = {n: state[n][None] for n in self._required_state}
        return self._start_chains(state, dtype)

    def _start_chains(self, state: State, dtype: Any) -> State:
        """Complete a state by persistent chains."""
        shape: tuple[int, ...] = (
            self.n_chains or self.batch_size,
            len(state["components_"]),
        )
        if self.algorithm == "cd":
            state.pop("h_samples_", None)
            return state
        if self.algorithm == "pt":
            n_rungs = len(rungs_of(state)) + 1 if self.keep_rungs else 0
            shape = (n_rungs or self.n_temperatures, *shape)
        if "h_samples_" not in state or state["h_samples_"].shape != shape:
            bits = self.random_state_.uniform(size=shape) < 0.5
            state["h_samples_"] = bits.astype(dtype)
        return state

    def _build_model(self, state: State) -> BernoulliRBM:
        weight, c, b = (
            np.asarray(state[name], np.result_type(state[name], np.float32))
            for name in self._required_state
        )
        shapes = weight.shape[:1], weight.shape[1:]
        if weight.ndim != 2 or (c.shape, b.shape) != shapes:
            raise ValueError(
                f"Got components_ of shape {weight.shape}, intercept_hidden_ of shape "
                f"{c.shape} and intercept_visible_ of shape {b.shape}, but expected "
                "(n_components, n_features), (n_components,) and (n_features,)."
            )
        # A copy in memory of torch, as numpy's may begin in the middle of a vector:
        # updates in place are up to a third slower there.
        return BernoulliRBM(*(torch.tensor(array) for array in (weight, c, b)))

    def _build_objective(self, state: State) -> ContrastiveDivergence:
        chains, mu, lam = state.get("h_samples_"), None, None
        if self.centered:
            mu = marginals(state)
            # A first guess, in mean field; it follows the data from there.
            lam = expit(state["components_"] @ mu + state["intercept_hidden_"])
        tensors: Any = (
            None if a is None else torch.tensor(a) for a in (chains, mu, lam)
        )
        kwargs: dict[str, Any] = {
            "n_steps": self.n_gibbs_steps,
            "sampled": self.binarize == "sample",
            "products": PRECISIONS[self.precision].products,
        }
        if self.keep_rungs:
            machines = [self._build_model(rung) for rung in rungs_of(state)]
            kwargs["trajectory"] = Trajectory(machines)
        if self.algorithm == "pt":
            base_bias = torch.from_numpy(logit(marginals(state)))
            return ParallelTempering(*tensors, base_bias=base_bias, **kwargs)
        return ContrastiveDivergence(*tensors, **kwargs)

    def _read(self, state: State, model: Any, objective: Any) -> State:
        state = state | self._arrays(model)
        if objective.chains is not None:
            state["h_samples_"] = objective.chains.cpu().numpy().copy()
        if objective.trajectory is not None:
            rungs = [self._arrays(rung) for rung in objective.trajectory.rungs]
            state["rungs_"] = {
                name: np.stack([rung[name] for rung in rungs]) for name in rungs[0]
            }
        return state

    def _arrays(self, model: BernoulliRBM) -> State:
        """The parameters of a machine as arrays."""
        return {
            name: parameter.detach().cpu().numpy().copy()
            for name, parameter in zip(
                self._required_state, model.parameters(), strict=True
            )
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
