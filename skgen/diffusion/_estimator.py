"""DiffusionModel: the diffusion model as an estimator."""

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
from skgen.diffusion._trainable_base import TrainableDiffusionModel


class DiffusionModel(TrainableDiffusionModel):
    r"""Diffusion model of real-valued data, with a likelihood.

    Data x turns into noise, :math:`u_t = \cos t\, x + \sin t\, z` with z from
    :math:`\mathcal{N}(0, I)` and t from 0 to :math:`\pi/2`, and a network learns to
    tell data and noise apart [1]_ [2]_ [3]_. What it has learned defines a flow from
    noise to data, whose samples have a density that can be computed [4]_, and a bound
    on the log-likelihood [5]_. At its start the model is the Gaussian of mean and
    covariance of the data; the network learns what is not Gaussian.

    Each feature is standardised inside of the model, so that units and offsets of the
    features do not matter. All densities are in the units of X.

    Parameters
    ----------
    hidden_layer_sizes : int, array-like of int or "auto", default="auto"
        Widths of the hidden layers. A layer as wide as the one before is added to it.
        "auto" means four layers of 128 units for up to 16 features, and of 256 for
        more. With "conv", the numbers of channels at each resolution, of which each has
        half as many rows and columns of pixels as the one before; "auto" means (32, 64,
        64), or fewer for images of less than 16 pixels.
    activation : str, default="silu"
        Activation of the hidden layers: "silu", "gelu", "relu", "elu", "tanh",
        "logistic", "softplus" or "identity".
    architecture : {"mlp", "conv"}, default="mlp"
        The network: fully connected, or with "conv" convolutional, for images. A
        convolutional network sees images: the noisy data, each direction divided by its
        standard deviation, turned back into pixels.
    image_shape : tuple of (int, int) or (int, int, int) or None, default=None
        Shape of the images in the rows of X, (height, width) or (channels, height,
        width), for "conv".
    network : type of nn.Module, nn.Module or None, default=None
        Another network: a module, or a class or function that makes one from the
        numbers of inputs and outputs. It maps (batch, n_features + 1) to (batch,
        n_features). The columns are the noisy data, each direction divided by its
        standard deviation, turned back into features; and last the time, as the mean
        angle of the directions between 0 (data) and 1 (noise). The output is the mean
        of g (see Notes) by features, up to its gain. A module is copied; its parameters
        are where training starts. `hidden_layer_sizes`, `activation`, `dropout` and
        `architecture` are not used.
    dropout : float or "auto", default="auto"
        Probability with which a hidden unit is dropped in training, in [0, 1); rounded
        to a multiple of 1/256. "auto" means 0.1, or 0 if the first table has at least
        200 rows for each feature.
    covariance_type : {"full", "diag"}, default="full"
        Covariance of the Gaussian that the model starts from: that of the features,
        shrunk towards a multiple of the identity, or the identity for standardised
        features. With more than 1024 features it is "diag".
    t_min : float, default=2e-3
        The least time, between 0 and 0.5: what is smaller than so many standard
        deviations of a feature is not resolved, and densities are bounded by it.
    ema_decay : float, default=0.999
        Decay of the exponential moving average of the weights over the steps of
        training. The averaged weights are what is fitted.
    n_steps : int, default=32
        Number of steps in which the flow is followed, for `sample`, `transform`,
        `inverse_transform`, `impute` and `log_likelihood`.
    learning_rate : float, default=2e-3
        Step size of Adam.
    batch_size : int, default=256
        Number of rows of a mini-batch. One of fewer rows than 256 is used repeatedly,
        each time with other noise.
    n_iter : int or "auto", default="auto"
        Number of passes over the training data (epochs). "auto" counts steps, that is
        mini-batches: 2 for each row, but at least 300 and at most 10,000.
    weight_decay : float or "auto", default="auto"
        Decoupled weight decay: each step subtracts ``learning_rate * weight_decay``
        times the weights. "auto" means 0.3, or 0 where `dropout` is 0 by itself.
    learning_rate_schedule : str, default="auto"
        "constant", "linear", "one_cycle" or "auto". With "linear" the learning rate
        falls to zero over `n_iter` epochs; with "one_cycle" it rises during the first
        30 % of them and then falls to zero. "auto" means "constant" if one of
        `callbacks` is an `LRScheduler`, and "linear" otherwise.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out `validation_fraction` of the rows and to stop when their
        bound has not increased by `tol` for `n_iter_no_change` epochs, and for 200
        mini-batches at least. The weights of the best epoch are restored. A network
        learns small tables by heart within seconds. "auto" means to do so in `fit` of
        40 to 5000 rows, and not in `partial_fit`.
    validation_fraction : float, default=0.1
        Fraction of the rows that is held out, with `early_stopping` or if one of
        `callbacks` uses held-out rows.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops.
    tol : float, default=1e-4
        The smallest increase of the bound, in nats per sample, that counts as an
        improvement for `early_stopping`.
    callbacks : list of skorch callbacks or None, default=None
        Callbacks of skorch, as its `NeuralNet` takes them. See
        :class:`BernoulliRBMGPU`.
    device : str or torch.device, default="auto"
        "auto" means "cuda" if there is such a device, otherwise "cpu". A fitted
        estimator uses the CPU where its device is missing.
    precision : {"float32", "float64", "bfloat16", "tf32"}, default="float32"
        Precision of training; see :class:`BernoulliRBMGPU`. `score_samples`,
        `log_likelihood`, `transform` and `inverse_transform` compute in the dtype of
        their input.
    warm_start : bool, default=False
        Whether `fit` continues from the last solution. Units, covariance and network
        stay those of the first fit.
    verbose : int, default=0
        If not 0, epoch, bound and remaining time are shown.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, shuffling, noise of training and samples. An int
        gives identical results each time on one machine and device.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        Averaged parameters of the network, by the names of torch.
    n_iter_ : int
        Number of epochs run.
    history_ : skorch.history.History
        One row for each epoch. ``train_loss`` is minus the bound of training rows in
        the course of the epoch, in nats per row, by one draw of time and noise for each
        evaluation of the first and every 16th further mini-batch; it fluctuates. Where
        rows are held out, ``valid_loss`` is minus the bound of a fixed subset of these
        after the epoch, with averaged weights and fixed draws: 128 rows, or 0.5 % of
        the number of training rows if that is more.
    net_ : skorch.NeuralNet
        The net that trained the model. It works on standardised data; its losses are
        in the units of X.
    device_ : str
        Where the model was trained.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, if they are all strings.

    See Also
    --------
    ConditionalDiffusionModel : The same given labels or values.
    GaussianVAE : A model of real-valued data with few latent variables.
    GaussianRBM : A mixture of very many Gaussians.
    sklearn.mixture.GaussianMixture : A mixture of few Gaussians.

    Notes
    -----
    **Angles.** Let :math:`a_i` be the standard deviations of standardised data along
    its principal directions, :math:`\xi_i` the data along them divided by :math:`a_i`,
    and :math:`y_i` the noisy data divided by its standard deviation at time t. Then

    .. math:: y_i = \cos\theta_i\, \xi_i + \sin\theta_i\, z_i, \qquad
              g_i = \sin\theta_i\, \xi_i - \cos\theta_i\, z_i, \qquad
              \tan\theta_i = \tan t / a_i.

    The network estimates the mean of g given y and t, times :math:`\sin\theta /
    \sqrt{\sin^2\theta + 0.05^2}`, by least squares; all angles count alike. With g = 0
    the model is the Gaussian. The flow is :math:`dy_i / d\theta_i = -g_i`.

    **Two likelihoods.** `score_samples` is a bound, which may be loose by nats.
    `log_likelihood` is the density of the samples of the flow, and tells the error of
    its solver.

    **Early stopping** watches the bound, with averaged weights.

    **Outliers.** A value more than 100 robust standard deviations away from the median
    of its column is taken for a fault: `fit` warns, and in training the largest or
    the smallest plausible value takes its place. Not so with ``architecture="conv"``:
    pixels at the edge of images are dark in few of them.

    References
    ----------
    .. [1] J. Ho, A. Jain and P. Abbeel, "Denoising diffusion probabilistic models",
       NeurIPS 2020.
    .. [2] T. Karras, M. Aittala, T. Aila and S. Laine, "Elucidating the design space of
       diffusion-based generative models", NeurIPS 2022.
    .. [3] C. Lu and Y. Song, "Simplifying, stabilizing and scaling continuous-time
       consistency models", ICLR 2025.
    .. [4] Y. Song et al., "Score-based generative modeling through stochastic
       differential equations", ICLR 2021.
    .. [5] D. P. Kingma, T. Salimans, B. Poole and J. Ho, "Variational diffusion
       models", NeurIPS 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgen import DiffusionModel
    >>> X = load_iris().data
    >>> model = DiffusionModel(hidden_layer_sizes=(64, 64), n_iter=40, random_state=0)
    >>> model.fit(X).sample(5).shape
    (5, 4)
    >>> log_p, error = model.log_likelihood(X, return_error=True)
    >>> bool(error.mean() < 0.1)
    True
    """

    def __init__(
        self,
        *,
        hidden_layer_sizes: LayerSizes | Literal["auto"] = "auto",
        activation: Activation = "silu",
        architecture: Literal["mlp", "conv"] = "mlp",
        image_shape: Sequence[int] | None = None,
        network: Network = None,
        dropout: float | Literal["auto"] = "auto",
        covariance_type: Literal["full", "diag"] = "full",
        t_min: float = 2e-3,
        ema_decay: float = 0.999,
        n_steps: int = 32,
        learning_rate: float = 2e-3,
        batch_size: int = 256,
        n_iter: int | Literal["auto"] = "auto",
        weight_decay: float | Literal["auto"] = "auto",
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.architecture = architecture
        self.image_shape = image_shape
        self.network = network
        self.dropout = dropout
        self.covariance_type = covariance_type
        self.t_min = t_min
        self.ema_decay = ema_decay
        self.n_steps = n_steps
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
