"""ConditionalBernoulliVAE: an autoencoder of binary data given labels or values."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from skgen.base._typing import (
    Activation,
    Binarize,
    Callbacks,
    Device,
    LayerSizes,
    Network,
    Precision,
    RandomState,
    Schedule,
)
from skgen.vae._bernoulli_base import BaseBernoulliVAE
from skgen.vae._conditional_base import BaseConditionalVAE


class ConditionalBernoulliVAE(  # type: ignore[misc]  # see BaseConditionalVAE
    BaseConditionalVAE, BaseBernoulliVAE
):
    r"""Variational autoencoder of binary data given labels or values.

    A latent variable model of p(x | y) with a neural network f, the decoder, whose
    output is the logits of the bits,

    .. math:: z \sim \mathcal{N}(0, I), \quad
              P(x_i = 1 \mid z, y) = \sigma\left(f_i(z, y)\right),

    and an approximate posterior :math:`q(z \mid x, y)` by another, the encoder, which
    sees y as well [1]_. Both are trained by the evidence lower bound (ELBO) of
    :math:`\log p(x \mid y)`, which is the score, in nats. All else is as in
    :class:`BernoulliVAE`. y is data: labels, real values, or several columns of both.

    Parameters
    ----------
    n_components : int, default=16
        Number of latent variables.
    y_kind : {"auto", "labels", "values"}, default="auto"
        What the columns of y are, as in :class:`ConditionalGaussianVAE`.
    hidden_layer_sizes : tuple of int or int, default=(256,)
        Widths of the hidden layers of the encoder; the decoder has the same in reverse
        order. An empty tuple makes both linear.
    activation : str, default="relu"
        Activation of the hidden layers, as in :class:`BernoulliVAE`.
    architecture : {"mlp", "conv"}, default="mlp"
        The networks, as in :class:`BernoulliVAE`. With "conv" the conditions join
        behind the convolutions of the encoder, and in front of those of the decoder.
    image_shape : tuple of (int, int) or (int, int, int) or None, default=None
        Shape of the images in the rows of X, for "conv".
    encoder : type of nn.Module, nn.Module or None, default=None
        Another network, which maps (batch, n_features + n_conditions), the data and
        after it the conditions as networks see them, to (batch, 2 * n_components): the
        means of the posterior and after them its log-variances.
    decoder : type of nn.Module, nn.Module or None, default=None
        Likewise, from (batch, n_components + n_conditions) to (batch, n_features): the
        logits of the bits given z and y.
    binarize : {"none", "threshold", "sample"}, default="none"
        What happens to values between 0 and 1, as in :class:`BernoulliVAE`.
    beta : float, default=1.0
        Weight of the KL term in training. It does not enter the score.
    n_warmup_iter : int, default=0
        Number of epochs over which the weight of the KL term rises from 0 to `beta`.
    learning_rate : float, default=1e-3
        Learning rate of Adam.
    batch_size : int, default=128
        Number of rows of a mini-batch.
    n_iter : int or "auto", default="auto"
        Number of passes over the training data (epochs). "auto" means at least 3000
        mini-batches, and at least 100 epochs.
    weight_decay : float, default=0.0
        Each step subtracts ``learning_rate * weight_decay`` times the weights
        (AdamW); biases do not decay.
    learning_rate_schedule : {"constant", "linear", "one_cycle"}, default="constant"
        How the learning rate moves over the epochs, as in :class:`BernoulliVAE`.
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
        Precision of training, as in :class:`BernoulliVAE`.
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
        Parameters of encoder and decoder, by the names of torch.
    active_units_ : ndarray of shape (n_components,), dtype=bool
        Latent variables that are used: the KL divergence of their posterior from the
        prior, averaged over the training data, is above 0.1 nats.
    n_iter_ : int
        Number of epochs run, in all fits that `warm_start` or `partial_fit` join.
    history_ : skorch.history.History
        One row for each epoch, as that of :class:`BernoulliVAE`.
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
    BernoulliVAE : The same model of x alone.
    ConditionalGaussianVAE : The same for real-valued data.

    Notes
    -----
    What the methods do without y, and what `predict_proba` is, is said in the notes on
    :class:`ConditionalGaussianVAE`; on values that are not binary, in those on
    :class:`BernoulliVAE`.

    References
    ----------
    .. [1] K. Sohn, H. Lee and X. Yan, "Learning structured output representation using
       deep conditional generative models", NeurIPS 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgen import ConditionalBernoulliVAE
    >>> X, y = load_digits(return_X_y=True)
    >>> vae = ConditionalBernoulliVAE(n_components=8, n_iter=5, random_state=0)
    >>> vae.fit(X / 16, y).sample(5, y=3).shape
    (5, 64)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseBernoulliVAE._parameter_constraints,
        **BaseConditionalVAE._conditional_constraints,
    }
    _state_names = (
        *BaseBernoulliVAE._state_names,
        *BaseConditionalVAE._conditional_state,
    )

    def __init__(
        self,
        n_components: int = 16,
        *,
        y_kind: Literal["auto", "labels", "values"] = "auto",
        hidden_layer_sizes: LayerSizes = (256,),
        activation: Activation = "relu",
        architecture: Literal["mlp", "conv"] = "mlp",
        image_shape: Sequence[int] | None = None,
        encoder: Network = None,
        decoder: Network = None,
        binarize: Binarize = "none",
        beta: float = 1.0,
        n_warmup_iter: int = 0,
        learning_rate: float = 1e-3,
        batch_size: int = 128,
        n_iter: int | Literal["auto"] = "auto",
        weight_decay: float = 0.0,
        learning_rate_schedule: Schedule = "constant",
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
        self.binarize = binarize
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
