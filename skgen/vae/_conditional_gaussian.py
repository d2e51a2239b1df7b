"""ConditionalGaussianVAE: an autoencoder of real-valued data given labels or values."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from skgen.base._typing import (
    Activation,
    AutoSchedule,
    Callbacks,
    Device,
    LayerSizes,
    Network,
    NoiseVariance,
    Precision,
    RandomState,
)
from skgen.vae._conditional_base import BaseConditionalVAE
from skgen.vae._gaussian_base import BaseGaussianVAE


class ConditionalGaussianVAE(  # type: ignore[misc]  # see BaseConditionalVAE
    BaseConditionalVAE, BaseGaussianVAE
):
    r"""Variational autoencoder of real-valued data given labels or values.

    A latent variable model of p(x | y) with a neural network f, the decoder,

    .. math:: z \sim \mathcal{N}(0, I), \quad
              x \sim \mathcal{N}\left(f(z, y), \operatorname{diag} \sigma^2\right),

    and an approximate posterior :math:`q(z \mid x, y)` by another, the encoder, which
    sees y as well [1]_. Both are trained by the evidence lower bound (ELBO) of
    :math:`\log p(x \mid y)`, which is the score, in nats. All else is as in
    :class:`GaussianVAE`: units of the features, noise, the length of training. y is
    data: labels, real values, or several columns of both. A regression with noise of
    any shape, log P(targets | inputs), is ``fit(X=targets, y=inputs)``.

    The linear maps of ``architecture="shortcut"`` start at the least squares of x on y,
    and at probabilistic PCA of what these leave. Without hidden layers the model is
    linear, :math:`\mathcal{N}(W z + B y + m, \operatorname{diag} \sigma^2)`.

    Parameters
    ----------
    n_components : int, default=16
        Number of latent variables.
    y_kind : {"auto", "labels", "values"}, default="auto"
        What the columns of y are. "auto" takes strings, bools and categories for labels
        and floats for values; integers are labels if there are at most 30 distinct ones
        in a column, and values otherwise, with a warning. For columns of different
        kinds, pass a DataFrame, or an array of dtype object. Labels become one input of
        the networks each, and values are standardised in float64.
    hidden_layer_sizes : tuple of int or int, default=(128, 128)
        Widths of the hidden layers of the encoder; the decoder has the same in reverse
        order. An empty tuple makes both linear.
    activation : str, default="relu"
        Activation of the hidden layers, as in :class:`GaussianVAE`.
    architecture : {"shortcut", "mlp", "conv"}, default="shortcut"
        The networks, as in :class:`GaussianVAE`. With "conv" the conditions join behind
        the convolutions of the encoder, and in front of those of the decoder.
    image_shape : tuple of (int, int) or (int, int, int) or None, default=None
        Shape of the images in the rows of X, for "conv".
    encoder : type of nn.Module, nn.Module or None, default=None
        Another network, which maps (batch, n_features + n_conditions), the standardised
        data and after it the conditions as networks see them, to (batch, 2 *
        n_components): the means of the posterior and after them its log-variances.
    decoder : type of nn.Module, nn.Module or None, default=None
        Likewise, from (batch, n_components + n_conditions) to (batch, n_features): the
        mean of x given z and y, standardised.
    noise_variance : float, "learned" or "per_feature", default="per_feature"
        Variance :math:`\sigma^2` of the noise: one for each feature that is learned
        ("per_feature"), one for all that is learned ("learned"), or a fixed number for
        all, in the units of X squared.
    beta : float, default=1.0
        Weight of the KL term in training. It does not enter the score.
    n_warmup_iter : int or "auto", default="auto"
        Number of epochs over which the weight of the KL term rises from 0 to `beta`.
        "auto" opens latent variables in stages, as in :class:`GaussianVAE`.
    learning_rate : float, default=3e-3
        Learning rate of Adam.
    batch_size : int, default=256
        Number of rows of a mini-batch.
    n_iter : int or "auto", default="auto"
        Number of passes over the training data (epochs). "auto" means at least 3000
        mini-batches, and at least 100 epochs.
    weight_decay : float or "auto", default="auto"
        Each step subtracts ``learning_rate * weight_decay`` times the weights
        (AdamW); biases do not decay.
        "auto" is that of :class:`GaussianVAE`.
    learning_rate_schedule : str, default="auto"
        "constant", "linear", "one_cycle" or "auto": how the learning rate moves over
        the epochs, as in :class:`GaussianVAE`.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows and to stop when
        their ELBO has not increased by `tol` for `n_iter_no_change` epochs. The
        parameters of the best epoch are restored.
    validation_fraction : float, default=0.1
        Fraction of the rows that is held out, with `early_stopping` or if one of
        `callbacks` uses held-out rows.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops.
    tol : float, default=1e-4
        The smallest increase of the ELBO, in nats per sample, that counts as an
        improvement for `early_stopping`.
    callbacks : list of skorch callbacks or None, default=None
        Callbacks of skorch, of which copies are used. Their y is the table of
        conditions as the networks see it.
    device : str or torch.device, default="auto"
        "auto" means "cuda" if there is such a device, otherwise "cpu". A fitted
        estimator uses the CPU where its device is missing.
    precision : {"float32", "float64", "bfloat16", "tf32"}, default="float32"
        Precision of training, as in :class:`GaussianVAE`.
    compile : bool, default=False
        Whether the networks are compiled for training by `torch.compile`.
    warm_start : bool, default=False
        Whether `fit` continues from the last solution, with the same labels.
    verbose : int, default=0
        If not 0, epoch, ELBO and remaining time are shown.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, shuffling, the noise in training and samples. An int
        gives identical results each time on one machine and device.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted. It exists only if y is one column of labels.
    class_prior_ : ndarray of shape (n_classes,)
        Their frequencies in the training data, with sample weights. Likewise.
    weights_ : dict of str to ndarray
        Parameters of encoder and decoder, by the names of torch. They map from and to
        standardised data.
    noise_variance_ : float or ndarray of shape (n_features,)
        Variance of the noise, in the units of X squared.
    active_units_ : ndarray of shape (n_components,), dtype=bool
        Latent variables that are used: the KL divergence of their posterior from the
        prior, averaged over the training data, is above 0.1 nats.
    n_iter_ : int
        Number of epochs run, in all fits that `warm_start` or `partial_fit` join.
    history_ : skorch.history.History
        One row for each epoch, as that of :class:`GaussianVAE`.
    net_ : skorch.NeuralNet
        The net that trained the model.
    device_ : str
        Where the model was trained.
    n_features_in_ : int
        Number of features of X seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, if they are all strings.

    See Also
    --------
    GaussianVAE : The same model of x alone.
    ConditionalBernoulliVAE : The same for binary data.

    Notes
    -----
    **Without y.** Methods that take data can be called without y, as scikit-learn does
    in a pipeline and in searches for transformers. They then average over p(y), the
    distribution of the training data, or over p(y | x), which follows from it by Bayes'
    rule: `score_samples` bounds log p(x), `transform` is the posterior mean of z. The
    average is a sum over all labels. If y has values, it is one over 64 quantiles of
    the training rows of y, sorted by their columns: a coarse average where p(x | y)
    depends on y more finely than that. Such a call takes as many times longer.

    **Features.** z is independent of y in the model. `transform` gives what differs
    between rows of one y, and little of y itself: to predict y, use `predict_proba`.

    **Not a classifier.** `predict`, `predict_proba` and `score_classes` exist if y is
    one column of labels. `score` is a likelihood, and a search stratifies no folds by
    itself: pass ``cv=StratifiedKFold()`` where a label is rare.

    **partial_fit.** The first call must have all labels; later ones count them on.

    References
    ----------
    .. [1] K. Sohn, H. Lee and X. Yan, "Learning structured output representation using
       deep conditional generative models", NeurIPS 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgen import ConditionalGaussianVAE
    >>> X, y = load_digits(return_X_y=True)
    >>> vae = ConditionalGaussianVAE(n_components=8, n_iter=5, random_state=0).fit(X, y)
    >>> vae.sample(5, y=3).shape
    (5, 64)
    >>> X_new, y_new = vae.sample(5)
    >>> vae.predict_proba(X[:2]).shape
    (2, 10)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseGaussianVAE._parameter_constraints,
        **BaseConditionalVAE._conditional_constraints,
    }
    _state_names = (
        *BaseGaussianVAE._state_names,
        *BaseConditionalVAE._conditional_state,
    )

    def __init__(
        self,
        n_components: int = 16,
        *,
        y_kind: Literal["auto", "labels", "values"] = "auto",
        hidden_layer_sizes: LayerSizes = (128, 128),
        activation: Activation = "relu",
        architecture: Literal["shortcut", "mlp", "conv"] = "shortcut",
        image_shape: Sequence[int] | None = None,
        encoder: Network = None,
        decoder: Network = None,
        noise_variance: NoiseVariance = "per_feature",
        beta: float = 1.0,
        n_warmup_iter: int | Literal["auto"] = "auto",
        learning_rate: float = 3e-3,
        batch_size: int = 256,
        n_iter: int | Literal["auto"] = "auto",
        weight_decay: float | Literal["auto"] = "auto",
        learning_rate_schedule: AutoSchedule = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        callbacks: Callbacks = None,
        device: Device = "auto",
        precision: Precision = "float32",
        compile: bool = False,
        warm_start: bool = False,
        verbose: bool | int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.y_kind = y_kind
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.architecture = architecture
        self.image_shape = image_shape
        self.encoder = encoder
        self.decoder = decoder
        self.noise_variance = noise_variance
        self.beta = beta
        self.n_warmup_iter = n_warmup_iter
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
        self.compile = compile
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state
