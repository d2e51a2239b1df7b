"""GAN: the generative adversarial network as an estimator."""

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
from skgen.gan._trainable_base import TrainableGAN


class GAN(TrainableGAN):
    r"""Generative adversarial network of real-valued data.

    A generator G turns noise z from :math:`\mathcal{N}(0, I)` into rows, and a critic D
    learns to tell them from data; each learns from the other [1]_. The samples are
    sharp, and a sample takes one evaluation of the generator. There is no likelihood,
    and the losses of training say nothing of the samples. What is scored, and what
    early stopping and searches use, is the energy score: the distance of data to
    samples, less half of that of samples to one another.

    Each feature is standardised inside of the model, so that units and offsets of the
    features do not matter. Features that are constant stay so.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Width of the noise. "auto" means the number of features, but at least 2 and at
        most 32. More than the data has dimensions makes training slower.
    hidden_layer_sizes : int, array-like of int or "auto", default="auto"
        Widths of the hidden layers of the critic, and in reversed order of the
        generator. "auto" means three layers of 128 units for up to 16 features, and of
        256 for more. With "conv", those of the layers beside the convolutions; "auto"
        means one of 256.
    activation : str, default="relu"
        Activation of the hidden layers: "silu", "gelu", "relu", "elu", "tanh",
        "logistic", "softplus" or "identity". Others than "relu" take twice the time,
        as the slope of the critic is differentiated, too.
    architecture : {"mlp", "conv"}, default="mlp"
        The networks: fully connected, or with "conv" convolutional, for images; pixels
        then have a common scale.
    image_shape : tuple of (int, int) or (int, int, int) or None, default=None
        Shape of the images in the rows of X, (height, width) or (channels, height,
        width), for "conv".
    generator : type of nn.Module, nn.Module or None, default=None
        Another generator: a module, or a class or function that makes one from the
        numbers of inputs and outputs. It maps noise, (batch, n_components), to
        standardised rows, (batch, n_features). A module is copied; its parameters are
        where training starts.
    critic : type of nn.Module, nn.Module or None, default=None
        Another critic, likewise. It maps standardised rows, (batch, n_features), to
        (batch, 1), each row by itself.
    loss : {"relativistic", "wasserstein"}, default="relativistic"
        What the players play for, see Notes.
    penalty : float or "auto", default="auto"
        Strength of the penalty on the slope of the critic, :math:`\gamma` or
        :math:`\lambda` in the Notes. "auto" means 0.05 for each feature, but at least
        0.1 and at most 5, for "relativistic", and 1 for "wasserstein". A larger one
        makes training more stable and samples less sharp; without any, training need
        not converge.
    n_critic : int or "auto", default="auto"
        Steps of the critic for one of the generator. "auto" means 1 for "relativistic"
        and 5 for "wasserstein".
    ema_decay : float, default=0.999
        Decay of the exponential moving average of the weights of the generator over its
        steps. The averaged weights are what is fitted.
    learning_rate : float, default=4e-3
        Step size of Adam, for both players.
    batch_size : int, default=256
        Number of rows of a mini-batch.
    n_iter : int or "auto", default="auto"
        Number of passes over the training data (epochs). "auto" counts steps of the
        critic, that is mini-batches: 2 for each row, but at least 2000 and at most
        4000.
    learning_rate_schedule : str, default="auto"
        "constant", "linear", "one_cycle" or "auto". With "linear" the learning rate
        falls to zero over `n_iter` epochs; with "one_cycle" it rises during the first
        30 % of them and then falls to zero. "auto" means "constant" if one of
        `callbacks` is an `LRScheduler`, and "linear" otherwise.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows and to stop when their
        energy score has not increased by `tol` for `n_iter_no_change` epochs, and for
        200 mini-batches at least. The weights of the best epoch are restored. The
        score hardly sees what the end of a training improves: a fit that runs to its
        end has the sharper samples.
    validation_fraction : float, default=0.1
        Fraction of the rows that is held out, with `early_stopping` or if one of
        `callbacks` uses held-out rows.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops.
    tol : float, default=1e-4
        The smallest increase of the energy score that counts as an improvement for
        `early_stopping`.
    callbacks : list of skorch callbacks or None, default=None
        Callbacks of skorch, as its `NeuralNet` takes them. See
        :class:`BernoulliRBMGPU`. Both players are stepped by one optimizer, whose state
        and learning rates are separate for each parameter.
    device : str or torch.device, default="auto"
        "auto" means "cuda" if there is such a device, otherwise "cpu". A fitted
        estimator uses the CPU where its device is missing.
    precision : {"float32", "float64", "bfloat16", "tf32"}, default="float32"
        Precision of training; see :class:`BernoulliRBMGPU`. `score_samples` and
        `inverse_transform` compute in the dtype of their input.
    warm_start : bool, default=False
        Whether `fit` continues from the last solution. Units and networks stay those of
        the first fit.
    verbose : int, default=0
        If not 0, epoch, energy score and remaining time are shown.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, shuffling, noise of training and samples. An int
        gives identical results each time on one machine and device.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        Averaged parameters of the generator, by the names of torch.
    n_iter_ : int
        Number of epochs run.
    history_ : skorch.history.History
        One row for each epoch. ``train_loss`` is the energy score of training rows with
        its sign changed, lower is better, against 256 draws of the generator in the
        course of the epoch, at the first and every 16th further mini-batch; it
        fluctuates. ``train_critic`` is what the critic minimises, which is log 2 or 0
        plus a penalty where it sees no difference, and does not tell how good the
        samples are. Where rows are held out, ``valid_loss`` is minus their score by the
        averaged weights, after the epoch: of a fixed subset of 128 rows, or 0.5 % of
        the number of training rows if that is more.
    net_ : skorch.NeuralNet
        The net that trained the model. It works on standardised data, and so do its
        losses.
    device_ : str
        Where the model was trained.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, if they are all strings.

    See Also
    --------
    DiffusionModel : A model with a likelihood, whose samples take many evaluations.
    GaussianVAE : A model with a bound on the likelihood, and with features of data.
    skgen.metrics : How far samples are from data.

    Notes
    -----
    **The relativistic game** [2]_ compares real and generated rows in pairs, and has
    penalties on the slope of the critic at both,

    .. math:: \min_G \max_D\ \langle \log \sigma(D(x) - D(G(z))) \rangle
              - \frac{\gamma}{2} \langle \lVert \nabla D(x) \rVert^2 \rangle
              - \frac{\gamma}{2} \langle \lVert \nabla D(G(z)) \rVert^2 \rangle.

    **The Wasserstein game** [3]_ is, at points :math:`\hat{x}` between real and
    generated rows,

    .. math:: \min_G \max_D\ \langle D(x) \rangle - \langle D(G(z)) \rangle
              - \lambda \langle (\lVert \nabla D(\hat{x}) \rVert - 1)^2 \rangle.

    Both players have Adam with :math:`\beta_1 = 0`, :math:`\beta_2 = 0.99`: momentum
    would turn them around each other.

    **Outliers.** A value more than 100 robust standard deviations away from the median
    of its column is taken for a fault: `fit` warns, and in training the largest or
    the smallest plausible value takes its place.

    References
    ----------
    .. [1] I. Goodfellow et al., "Generative adversarial nets", NeurIPS 2014.
    .. [2] Y. Huang, A. Gokaslan, V. Kuleshov and J. Tompkin, "The GAN is dead; long
       live the GAN! A modern GAN baseline", NeurIPS 2024.
    .. [3] I. Gulrajani et al., "Improved training of Wasserstein GANs", NeurIPS 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgen import GAN
    >>> X = load_iris().data
    >>> gan = GAN(hidden_layer_sizes=(64, 64), n_iter=200, random_state=0).fit(X)
    >>> gan.sample(5).shape
    (5, 4)
    >>> bool(gan.score(X) > -1.4)
    True
    """

    def __init__(
        self,
        n_components: int | Literal["auto"] = "auto",
        *,
        hidden_layer_sizes: LayerSizes | Literal["auto"] = "auto",
        activation: Activation = "relu",
        architecture: Literal["mlp", "conv"] = "mlp",
        image_shape: Sequence[int] | None = None,
        generator: Network = None,
        critic: Network = None,
        loss: Literal["relativistic", "wasserstein"] = "relativistic",
        penalty: float | Literal["auto"] = "auto",
        n_critic: int | Literal["auto"] = "auto",
        ema_decay: float = 0.999,
        learning_rate: float = 4e-3,
        batch_size: int = 256,
        n_iter: int | Literal["auto"] = "auto",
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.architecture = architecture
        self.image_shape = image_shape
        self.generator = generator
        self.critic = critic
        self.loss = loss
        self.penalty = penalty
        self.n_critic = n_critic
        self.ema_decay = ema_decay
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
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
