"""DeepBeliefNetwork: the deep belief network as an estimator."""

from numbers import Integral, Real
from typing import ClassVar, Literal

from sklearn.utils._param_validation import Interval, StrOptions

from skgen.base import BaseGenerator
from skgen.base._typing import (
    Algorithm,
    AutoSchedule,
    Binarize,
    Callbacks,
    Device,
    LayerSizes,
    NoiseVariance,
    Precision,
    RandomState,
)
from skgen.dbn._trainable_base import TrainableDeepBeliefNetwork
from skgen.rbm import BernoulliRBMGPU, GaussianRBM


class DeepBeliefNetwork(TrainableDeepBeliefNetwork):
    r"""Deep belief network: Boltzmann machines in layers, trained one after another.

    A generative model of binary or real data v with several layers of binary hidden
    units [1]_,

    .. math:: p(v, h^1, \dots, h^L) = p(v \mid h^1) \cdots
              p(h^{L-2} \mid h^{L-1})\; p(h^{L-1}, h^L).

    The two highest layers form a restricted Boltzmann machine; each lower layer has the
    conditional distribution of a machine's visible units given its hidden ones. Each
    machine is trained on features of the data by those below it, as
    :class:`BernoulliRBMGPU` and :class:`GaussianRBM` are. All layers can then be
    trained together, by gradient ascent of the variational bound. With one hidden layer
    the network is a restricted Boltzmann machine.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(256, 256)
        Number of units of each hidden layer, the lowest first.
    visible : {"bernoulli", "gaussian"}, default="bernoulli"
        Distribution of the data given the lowest hidden layer: bits, or real values
        with Gaussian noise.
    learning_rate : float, default=0.1
        Factor of the gradient of the mean log-likelihood of a mini-batch, in the
        training of the machines.
    batch_size : int, default=100
        Number of rows of a mini-batch.
    n_iter : int or "auto", default="auto"
        Number of passes over the training data (epochs) for each machine. "auto" counts
        steps, that is mini-batches: as many epochs as make at least 2500 steps, and at
        least 20.
    fine_tune_iter : int, default=0
        Number of passes over the training data in which all layers are trained
        together, after the machines. The approximate posterior q then has parameters of
        its own. Not used with one hidden layer.
    fine_tune_learning_rate : float, default=1e-3
        Step size of Adam in that training. `learning_rate_schedule` moves it, too.
    algorithm : {"pcd", "cd", "pt"}, default="pcd"
        How the machines are trained; see :class:`BernoulliRBMGPU`. Fine-tuning takes
        persistent chains in any case.
    n_gibbs_steps : int, default=1
        Number of steps of block Gibbs sampling for each mini-batch.
    n_chains : int or None, default=None
        Number of persistent chains; None means `batch_size`.
    centered : bool, default=True
        Whether the machines follow the centered gradient.
    momentum : float, default=0.0
        Momentum of the gradient step of the machines, in [0, 1).
    weight_decay : float, default=0.0
        L2 penalty on the weights of the machines, not in fine-tuning.
    learning_rate_schedule : str, default="auto"
        "constant", "linear", "one_cycle" or "auto": how the learning rate moves in each
        phase of the training. With "linear" it falls to zero; with "one_cycle" it rises
        during the first 30 % of the epochs and then falls to zero. "auto" means
        "constant" if one of `callbacks` is an `LRScheduler`, and "linear" otherwise.
    binarize : {"none", "threshold", "sample"}, default="none"
        How values between 0 and 1 are used with ``visible="bernoulli"``; see
        :class:`BernoulliRBMGPU`.
    noise_variance : {"per_feature", "learned"} or float, default="per_feature"
        Variance of the noise with ``visible="gaussian"``; see :class:`GaussianRBM`. It
        stays as it is in fine-tuning.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows, and to end each phase of
        the training when their loss has not fallen by `tol` for `n_iter_no_change`
        epochs, and for 200 mini-batches at least. The parameters of the best epoch of
        the phase are restored.
    validation_fraction : float, default=0.1
        Fraction of the rows that is held out, with `early_stopping` or if one of
        `callbacks` uses held-out rows.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which a phase ends.
    tol : float, default=1e-4
        The smallest decrease of the loss, in nats per sample, that counts as an
        improvement for `early_stopping`.
    callbacks : list of skorch callbacks or None, default=None
        Callbacks of skorch, as its `NeuralNet` takes them; each phase has copies of its
        own. See :class:`BernoulliRBMGPU`.
    device : str or torch.device, default="auto"
        "auto" means "cuda" if there is such a device, otherwise "cpu". A fitted
        estimator uses the CPU where its device is missing.
    precision : {"float32", "float64", "bfloat16", "tf32"}, default="float32"
        Precision of training; see :class:`BernoulliRBMGPU`.
    warm_start : bool, default=False
        Whether `fit` continues from the last solution: each machine in turn, or after a
        fine-tuning all layers together, for `fine_tune_iter` epochs. If
        `hidden_layer_sizes` has further layers behind those of the last fit, these
        stay as they are, and only the further ones are trained.
    verbose : int, default=0
        If not 0, epoch, score and remaining time are shown.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, shuffling, chains and samples. An int gives
        identical results each time on one machine and device.

    Attributes
    ----------
    layers_ : list of dict of str to ndarray
        The fitted machines, the lowest first, by the names of their attributes:
        `components_`, `intercept_hidden_`, `intercept_visible_`, `h_samples_`, `mean_`,
        `n_samples_seen_`, and for real values `noise_variance_`. After a fine-tuning
        those below the top have `recognition_components_` and `recognition_intercept_`:
        the weights and biases of q, which are those of the machine otherwise.
    n_iter_ : int
        Number of epochs run, of all phases.
    history_ : skorch.history.History
        One row for each epoch. Its ``phase`` is "layer 1", "layer 2" and so on, or
        "fine-tuning"; with one hidden layer there is none. In the training of a
        machine, ``train_loss`` is minus the mean pseudo-likelihood of what it is
        trained on, as in :class:`BernoulliRBMGPU`. In fine-tuning it is minus the
        variational bound, with the pseudo-likelihood of the top machine in place of its
        likelihood. ``valid_loss`` is the same of held-out rows. Losses of different
        phases do not compare.
    net_ : skorch.NeuralNet
        The net of the last phase.
    device_ : str
        Where the model was trained.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, if they are all strings.

    See Also
    --------
    BernoulliRBMGPU : The model with one layer of hidden units, of bits.
    GaussianRBM : The same of real values.

    Notes
    -----
    The posterior of the hidden layers is approximated by q, in which the units of each
    layer are independent given the layer below. `score_samples` is the variational
    bound with it. A machine on binary units starts as the one below upside down: with
    as many hidden units as that has visible ones, the network then has its law, and the
    bound is tight. Further hidden units start with small weights; with fewer, those
    visible units of the machine below are left out that vary least in the data. Each
    machine is trained on bits that are drawn from q for each mini-batch anew.

    `partial_fit` trains each machine in turn by one pass over the rows of the call, and
    then all together, if `fine_tune_iter` is not 0; after a fine-tuning, only the
    latter. Where data come in parts, set ``fine_tune_iter=0`` at first.

    In fine-tuning, gradients pass through bits by a rule that is exact for functions
    quadratic in each bit [2]_. The gradient of log Z of the top machine comes from
    persistent chains.

    References
    ----------
    .. [1] G. E. Hinton, S. Osindero and Y.-W. Teh, "A fast learning algorithm for deep
       belief nets", Neural Computation 18, 2006.
    .. [2] L. Liu, C. Dong, X. Liu, B. Yu and J. Gao, "Bridging discrete and
       backpropagation: straight-through and beyond", NeurIPS 2023.
    .. [3] R. Salakhutdinov and I. Murray, "On the quantitative analysis of deep belief
       networks", ICML 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import DeepBeliefNetwork
    >>> X = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> model = DeepBeliefNetwork((4, 2), random_state=0).fit(X)
    >>> model.transform(X).shape
    (4, 2)
    >>> model.sample(5).shape
    (5, 3)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseGenerator._training_constraints,
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "visible": [StrOptions({"bernoulli", "gaussian"})],
        "n_iter": GaussianRBM._parameter_constraints["n_iter"],
        "learning_rate_schedule": GaussianRBM._parameter_constraints[
            "learning_rate_schedule"
        ],
        "noise_variance": GaussianRBM._parameter_constraints["noise_variance"],
        "fine_tune_iter": [Interval(Integral, 0, None, closed="left")],
        "fine_tune_learning_rate": [Interval(Real, 0, None, closed="neither")],
        **{
            name: BernoulliRBMGPU._parameter_constraints[name]
            for name in (
                *("algorithm", "n_gibbs_steps", "n_chains", "binarize", "centered"),
                *("momentum", "weight_decay"),
            )
        },
    }

    def __init__(
        self,
        hidden_layer_sizes: LayerSizes = (256, 256),
        *,
        visible: Literal["bernoulli", "gaussian"] = "bernoulli",
        learning_rate: float = 0.1,
        batch_size: int = 100,
        n_iter: int | Literal["auto"] = "auto",
        fine_tune_iter: int = 0,
        fine_tune_learning_rate: float = 1e-3,
        algorithm: Algorithm = "pcd",
        n_gibbs_steps: int = 1,
        n_chains: int | None = None,
        centered: bool = True,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        learning_rate_schedule: AutoSchedule = "auto",
        binarize: Binarize = "none",
        noise_variance: NoiseVariance = "per_feature",
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.visible = visible
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.fine_tune_iter = fine_tune_iter
        self.fine_tune_learning_rate = fine_tune_learning_rate
        self.algorithm = algorithm
        self.n_gibbs_steps = n_gibbs_steps
        self.n_chains = n_chains
        self.centered = centered
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.learning_rate_schedule = learning_rate_schedule
        self.binarize = binarize
        self.noise_variance = noise_variance
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
