"""ConditionalDiffusionModel: a diffusion model of data given labels or values."""

from collections.abc import Sequence
from typing import ClassVar, Literal

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
from skgen.diffusion._conditional_base import BaseConditionalDiffusionModel
from skgen.diffusion._trainable_base import TrainableDiffusionModel


class ConditionalDiffusionModel(  # type: ignore[misc]  # see ConditionsMixin
    BaseConditionalDiffusionModel, TrainableDiffusionModel
):
    r"""Diffusion model of real-valued data given labels or values.

    A model of p(x | y) as :class:`DiffusionModel` is one of p(x), whose network is
    given y [1]_. y is data: labels, real values, or several columns of both. A
    regression with noise of any shape, log P(targets | inputs), is ``fit(X=targets,
    y=inputs)``. The model starts at the Gaussian of a linear regression of x on y; the
    network learns what is not linear or not Gaussian.

    In training y is withheld from some mini-batches, so that the same network is a
    model of x alone. The difference of both is what is typical of y, and `sample` can
    exaggerate it [2]_.

    Parameters
    ----------
    y_kind : {"auto", "labels", "values"}, default="auto"
        What the columns of y are. "auto" takes strings, bools and categories for labels
        and floats for values; integers are labels if there are at most 30 distinct ones
        in a column, and values otherwise, with a warning. For columns of different
        kinds, pass a DataFrame, or an array of dtype object. Labels become one input of
        the network each, and values are standardised in float64.
    condition_dropout : float, default=0.1
        Share of the mini-batches whose y is withheld from the network in training,
        between 0 and 1: by these it learns the model of x alone, which guidance and
        calls without y need.
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
        numbers of inputs and outputs. It maps (batch, n_features + 1 + n_conditions) to
        (batch, n_features). The columns are the noisy data, each direction divided by
        its standard deviation, turned back into features; the time, as the mean angle
        of the directions between 0 (data) and 1 (noise); and the conditions, bits of
        labels and standardised values, and after them a 1, or zeros in the place of all
        of these where y is withheld. The output is the mean of g (see
        :class:`DiffusionModel`) by features, up to its gain. A module is copied; its
        parameters are where training starts. `hidden_layer_sizes`, `activation`,
        `dropout` and `architecture` are not used.
    dropout : float or "auto", default="auto"
        Probability with which a hidden unit is dropped in training, in [0, 1); rounded
        to a multiple of 1/256. "auto" means 0.1, or 0 if the first table has at least
        200 rows for each feature.
    covariance_type : {"full", "diag"}, default="full"
        Covariance of the Gaussian that the model starts from, of what a linear
        regression on y leaves: in full, shrunk towards a multiple of the identity, or
        the variances alone. With more than 1024 features it is "diag".
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
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; only if y is one column of labels.
    class_prior_ : ndarray of shape (n_classes,)
        The frequencies of the labels in the training data; only with `classes_`.
    n_iter_ : int
        Number of epochs run.
    history_ : skorch.history.History
        One row for each epoch, as that of :class:`DiffusionModel`. Held-out rows are
        watched given their y.
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
    DiffusionModel : The same model of x alone.
    ConditionalGaussianVAE : A conditional model with few latent variables.

    Notes
    -----
    **Without y.** Methods that take data can be called without y, as scikit-learn does
    in a pipeline and in searches for transformers. They then answer for x alone, by the
    network from which y is withheld. It starts at the Gaussian of the data and is
    trained on `condition_dropout` of the mini-batches: a :class:`DiffusionModel` of
    shorter training.

    **Not a classifier.** `predict`, `predict_proba` and `score_classes` exist if y is
    one column of labels. `score` is a likelihood, and a search stratifies no folds by
    itself: pass ``cv=StratifiedKFold()`` where a label is rare.

    **partial_fit.** The first call must have all labels; later ones count them on.

    References
    ----------
    .. [1] Y. Song et al., "Score-based generative modeling through stochastic
       differential equations", ICLR 2021.
    .. [2] J. Ho and T. Salimans, "Classifier-free diffusion guidance", NeurIPS 2021
       Workshop on Deep Generative Models and Downstream Applications.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgen import ConditionalDiffusionModel
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ConditionalDiffusionModel(
    ...     hidden_layer_sizes=(64, 64), n_iter=40, random_state=0
    ... ).fit(X, y)
    >>> model.sample(5, y=2).shape
    (5, 4)
    >>> X_new, y_new = model.sample(5)
    >>> model.log_likelihood(X[:3], y[:3]).shape
    (3,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **TrainableDiffusionModel._parameter_constraints,
        **BaseConditionalDiffusionModel._conditional_constraints,
    }
    _state_names = (
        *TrainableDiffusionModel._state_names,
        *BaseConditionalDiffusionModel._conditional_state,
    )

    def __init__(
        self,
        *,
        y_kind: Literal["auto", "labels", "values"] = "auto",
        condition_dropout: float = 0.1,
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
        self.y_kind = y_kind
        self.condition_dropout = condition_dropout
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
