"""EnergyModel: the energy-based model as an estimator."""

from collections.abc import Sequence
from typing import Literal

from skgen.base._typing import (
    Activation,
    AutoSchedule,
    Callbacks,
    Device,
    LayerSizes,
    Network,
    Precision,
    RandomState,
)
from skgen.energy._trainable_base import TrainableEnergyModel


class EnergyModel(TrainableEnergyModel):
    r"""Energy-based model of real-valued data, with an estimated likelihood.

    The density is that of a base times a correction by a network f,

    .. math:: p(x) = \frac{1}{Z} e^{-E(x)}, \qquad E(x) = -\log q_0(x) + f(x).

    The base :math:`q_0`, a Gaussian or a mixture of Gaussians, is fitted first. At its
    start the model is the base; the network learns what the base gets wrong, by telling
    data from draws of the base [1]_ or by Langevin chains [2]_ [3]_. The partition
    function Z is estimated at the end of a fit by annealing from the base [4]_.

    Each feature is standardised inside of the model, so that units and offsets of the
    features do not matter. All densities are in the units of X.

    Parameters
    ----------
    base : {"auto", "gaussian"} or int, default="auto"
        The base: "gaussian" for a Gaussian with a shrunk covariance, or an integer for
        a mixture of this number of Gaussians. "auto" chooses the number of components,
        at most 32: mixtures are fitted to four fifths of the training rows, and the one
        with the highest likelihood of the remaining fifth is chosen; copies of a
        row stay in the same part. With fewer than 100 distinct rows it is a Gaussian.
    base_covariance_type : {"auto", "full", "diag"}, default="auto"
        Covariances of the components: of all features, or variances alone. "auto" takes
        those of the higher likelihood in the same way.
    hidden_layer_sizes : int, array-like of int or "auto", default="auto"
        Widths of the hidden layers. "auto" means (128, 128) for up to 16 features and
        (256, 256) for more; with "conv", where these layers follow the convolutions,
        128.
    activation : str, default="silu"
        Activation of the hidden layers: "silu", "gelu", "relu", "elu", "tanh",
        "logistic", "softplus" or "identity".
    architecture : {"mlp", "conv"}, default="mlp"
        The network: fully connected, or with "conv" two strided convolutions below, for
        images.
    image_shape : tuple of (int, int) or (int, int, int) or None, default=None
        Shape of the images in the rows of X, (height, width) or (channels, height,
        width), for "conv".
    network : type of nn.Module, nn.Module or None, default=None
        Another network: a module, or a class or function that makes one from the
        numbers of inputs and outputs. It maps standardised data, (batch, n_features),
        to f, (batch, 1). It must not fall faster than linearly, or the model has no
        density. A module is copied; its parameters are where training starts.
        `hidden_layer_sizes`, `activation` and `architecture` are not used.
    objective : {"nce", "pcd"}, default="nce"
        How f is learnt: by noise-contrastive estimation against the base, or by
        maximum likelihood with persistent Langevin chains.
    n_noise : int, default=4
        Draws of the base for each row of a mini-batch.
    n_steps : int, default=20
        With "pcd", steps of the chains for each step of training.
    step_size : float or "auto", default="auto"
        With "pcd", the step size of the chains; "auto" tunes it to an acceptance rate
        of 0.574. For adjusted chains it is the angle of a rotation, at most a right one
        (see Notes); for others the step of Langevin dynamics in the units of
        standardised data, where "auto" means 0.01.
    adjusted : bool, default=True
        With "pcd", whether the chains of training have Metropolis tests. Without them
        and with few steps, this is the "short-run" Langevin dynamics of the literature.
    temperature : float, default=1.0
        With "pcd" and ``adjusted=False``, the temperature of the chains. What short-run
        dynamics of the literature uses is about 1e-6: such chains descend the energy,
        and do not sample the model.
    buffer_size : int, default=8192
        With "pcd", number of chains that are kept from step to step.
    reinit_fraction : float, default=0.05
        With "pcd", probability with which a chain that is moved starts anew from the
        base. With `adjusted`, it is then annealed from the base to the model while it
        is moved ten times, and contributes to the gradient only afterwards.
    learning_rate : float, default=1e-3
        Step size of Adam.
    batch_size : int, default=256
        Number of rows of a mini-batch.
    n_iter : int or "auto", default="auto"
        Number of passes over the training data (epochs). "auto" counts steps, that is
        mini-batches: 2 for each row, but at least 300 and at most 6000.
    weight_decay : float, default=0.01
        Decoupled weight decay: each step subtracts ``learning_rate * weight_decay``
        times the weights.
    learning_rate_schedule : str, default="auto"
        "constant", "linear", "one_cycle" or "auto". With "linear" the learning rate
        falls to zero over `n_iter` epochs; with "one_cycle" it rises during the first
        30 % of them and then falls to zero. "auto" means "constant" if one of
        `callbacks` is an `LRScheduler`, and "linear" otherwise.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out `validation_fraction` of the rows and to stop when their
        loss, as in ``history_``, has not fallen by `tol` for `n_iter_no_change` epochs,
        and for 200 mini-batches at least. The weights of the best epoch are restored.
        "auto" means to do so in `fit` of 40 to 5000 rows, and not in `partial_fit`.
    validation_fraction : float, default=0.1
        Fraction of the rows that is held out, with `early_stopping` or if one of
        `callbacks` uses held-out rows.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops.
    tol : float, default=1e-4
        The smallest fall of the loss, in nats per sample, that counts as an improvement
        for `early_stopping`.
    callbacks : list of skorch callbacks or None, default=None
        Callbacks of skorch, as its `NeuralNet` takes them. See
        :class:`BernoulliRBMGPU`.
    device : str or torch.device, default="auto"
        "auto" means "cuda" if there is such a device, otherwise "cpu". A fitted
        estimator uses the CPU where its device is missing.
    precision : {"float32", "float64", "bfloat16", "tf32"}, default="float32"
        Precision of training; see :class:`BernoulliRBMGPU`. `score_samples` and
        `energy` compute in the dtype of their input, chains in the precision of the
        parameters.
    warm_start : bool, default=False
        Whether `fit` continues from the last solution. Units, base and network stay
        those of the first fit.
    verbose : int, default=0
        If not 0, epoch, loss and remaining time are shown.
    random_state : int, RandomState instance or None, default=None
        Determines the base, initial weights, shuffling, noise of training and samples.
        An int gives identical results each time on one machine and device.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        Parameters of the network, by the names of torch.
    log_normalizer_ : float
        What training takes for log Z, the constant of noise-contrastive estimation. It
        is log Z at the optimum alone: ``log_partition_`` is the estimate.
    log_partition_ : LogPartition
        Estimate of log Z with its bracket, `standard_error` and
        `effective_sample_size`, of the fit or of the last call of
        `log_partition_function`. Where f is 0, log Z is 0.
    n_iter_ : int
        Number of epochs run.
    history_ : skorch.history.History
        One row for each epoch. ``train_loss`` is the loss of noise-contrastive
        estimation in the course of the epoch, in nats per row, minus the loss of the
        base alone. Negative values mean that the model distinguishes data from draws of
        the base better than chance. Where rows are held out,
        ``valid_loss`` is that of these after the epoch, by fixed draws of the base.
        With "pcd" they are the same, though f is not trained by them.
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
    DiffusionModel : A model with a likelihood whose samples take no chains.
    GaussianRBM : An energy-based model with hidden units.
    sklearn.mixture.GaussianMixture : The base.

    Notes
    -----
    **Chains.** A step draws the component k of a point given the point. In the units of
    the component, :math:`z = L_k^{-1}(x - \mu_k)`, the model is a standard normal law
    times :math:`e^{-f}`. States z and momenta are turned towards each other by an
    angle, between two kicks by the gradient of f, and the end is accepted or not by
    Metropolis' test. Where f is 0 each step is accepted, and a right angle is a new
    draw. Each fifth proposal is a new draw of the base. Chains are exact in the limit
    of many steps, and mix slowly where the model has modes that the base lacks.

    **The likelihood** is known up to the error of log Z, which is common to all rows.
    `log_likelihood_bounds` brackets it. If the effective sample size of the estimate is
    below 10, `score_samples` warns and returns NaN.

    **Early stopping** watches the loss of noise-contrastive estimation: it needs no log
    Z, has small variance, and is least for the law of the data.

    **Outliers.** A value more than 100 robust standard deviations away from the median
    of its column is taken for a fault: `fit` warns, and in training the largest or
    the smallest plausible value takes its place.

    References
    ----------
    .. [1] M. U. Gutmann and A. Hyvärinen, "Noise-contrastive estimation of unnormalized
       statistical models, with applications to natural image statistics", Journal of
       Machine Learning Research 13 (2012).
    .. [2] T. Tieleman, "Training restricted Boltzmann machines using approximations to
       the likelihood gradient", ICML 2008.
    .. [3] Y. Du and I. Mordatch, "Implicit generation and modeling with energy based
       models", NeurIPS 2019.
    .. [4] R. M. Neal, "Annealed importance sampling", Statistics and Computing 11
       (2001).

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from skgen import EnergyModel
    >>> X, _ = make_moons(500, noise=0.1, random_state=0)
    >>> model = EnergyModel(base="gaussian", n_iter=200, random_state=0).fit(X)
    >>> model.sample(5).shape
    (5, 2)
    >>> bool(model.log_partition_.standard_error < 0.1)
    True
    >>> lower, upper = model.log_likelihood_bounds(X)
    >>> bool((lower < model.score_samples(X)).all())
    True
    """

    def __init__(
        self,
        *,
        base: int | Literal["auto", "gaussian"] = "auto",
        base_covariance_type: Literal["auto", "full", "diag"] = "auto",
        hidden_layer_sizes: LayerSizes | Literal["auto"] = "auto",
        activation: Activation = "silu",
        architecture: Literal["mlp", "conv"] = "mlp",
        image_shape: Sequence[int] | None = None,
        network: Network = None,
        objective: Literal["nce", "pcd"] = "nce",
        n_noise: int = 4,
        n_steps: int = 20,
        step_size: float | Literal["auto"] = "auto",
        adjusted: bool = True,
        temperature: float = 1.0,
        buffer_size: int = 8192,
        reinit_fraction: float = 0.05,
        learning_rate: float = 1e-3,
        batch_size: int = 256,
        n_iter: int | Literal["auto"] = "auto",
        weight_decay: float = 0.01,
        learning_rate_schedule: AutoSchedule = "auto",
        early_stopping: bool | Literal["auto"] = "auto",
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
        self.base = base
        self.base_covariance_type = base_covariance_type
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.architecture = architecture
        self.image_shape = image_shape
        self.network = network
        self.objective = objective
        self.n_noise = n_noise
        self.n_steps = n_steps
        self.step_size = step_size
        self.adjusted = adjusted
        self.temperature = temperature
        self.buffer_size = buffer_size
        self.reinit_fraction = reinit_fraction
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
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
