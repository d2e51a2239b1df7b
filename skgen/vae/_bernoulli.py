"""BernoulliVAE: a variational autoencoder of binary data."""

from collections.abc import Sequence
from numbers import Integral
from typing import ClassVar, Literal

from sklearn.utils._param_validation import Interval

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
from skgen.vae._imputation import ImputingVAE


class BernoulliVAE(ImputingVAE, BaseBernoulliVAE):
    r"""Variational autoencoder of binary data.

    A latent variable model with a neural network f, the decoder, whose output is
    the logits of the bits,

    .. math:: z \sim \mathcal{N}(0, I), \quad
              P(x_i = 1 \mid z) = \sigma\left(f_i(z)\right),

    and an approximate posterior :math:`q(z \mid x) = \mathcal{N}(\mu(x),
    \operatorname{diag} \sigma_q^2(x))` by another, the encoder. Both are trained
    by stochastic gradient ascent on the evidence lower bound (ELBO) of the
    log-likelihood, with the reparameterisation trick [1]_ [2]_. The score is the
    ELBO in nats.

    Parameters
    ----------
    n_components : int, default=16
        Number of latent variables.
    hidden_layer_sizes : tuple of int or int, default=(256,)
        Widths of the hidden layers of the encoder; the decoder has the same in reverse
        order. An empty tuple makes both linear.
    activation : str, default="relu"
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu",
        "elu", "silu", "gelu" or "softplus".
    architecture : {"mlp", "conv"}, default="mlp"
        With "conv", two strided convolutions (32 and 64 channels, 3 × 3) precede the
        hidden layers of the encoder, and their transposes follow those of the
        decoder. It needs `image_shape`.
    image_shape : tuple of (int, int) or (int, int, int) or None, default=None
        Shape of the images in the rows of X, for "conv": height and width, or
        channels, height and width.
    encoder : type of nn.Module, nn.Module or None, default=None
        Another network, which maps (batch, n_features) to (batch, 2 * n_components):
        the means of the posterior and after them its log-variances. A class is called
        with the two widths, as `torch.nn.Linear` is; an instance is copied, and
        training starts from its parameters. None means that of `architecture`.
    decoder : type of nn.Module, nn.Module or None, default=None
        Likewise, of shape (batch, n_components) to (batch, n_features): the logits
        of the bits given z.
    binarize : {"none", "threshold", "sample"}, default="none"
        What happens to values between 0 and 1: they stand in the formulas as they
        are ("none"), count as 1 above 0.5 ("threshold"), or are the probabilities
        of bits, which are drawn anew in every epoch ("sample"). In the last case
        `score_samples`, `elbo_terms` and `log_likelihood` draw the bits of a row
        once and for all, by a rule that depends on the row alone, and `transform`,
        `encode` and `reconstruct` take the values as they are.
    beta : float, default=1.0
        Weight of the KL term in training (β-VAE [3]_). It does not enter the score.
    n_importance_samples : int, default=1
        Number of draws of z for each row in a training step. With more than one the
        importance-weighted bound is maximised instead of the ELBO: it is closer to the
        log-likelihood, and a step takes as many times as long in the decoder.
        ``train_loss`` is then minus that bound; the score is the ELBO in either case.
    n_warmup_iter : int, default=0
        Number of epochs over which the weight of the KL term rises from 0 to `beta`.
        Early stopping begins after them.
    learning_rate : float, default=1e-3
        Learning rate of Adam.
    batch_size : int, default=128
        Number of rows of a mini-batch.
    n_iter : int or "auto", default="auto"
        Number of passes over the training data (epochs). "auto" counts steps, that is
        mini-batches: as many epochs as make at least 3000 steps, and at least 100.
        With up to `batch_size` rows these are 3000 epochs of one step.
    weight_decay : float, default=0.0
        Each step subtracts ``learning_rate * weight_decay`` times the weights
        (AdamW); biases do not decay.
    learning_rate_schedule : {"constant", "linear", "one_cycle"}, default="constant"
        With "linear" the learning rate falls to zero over `n_iter` epochs; with
        "one_cycle" it rises during the first 30 % of them and then falls to zero.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows and to stop when
        their ELBO has not increased by `tol` for `n_iter_no_change` epochs. The
        parameters of the best epoch are restored.
    validation_fraction : float, default=0.1
        Fraction of the rows that is held out, with `early_stopping` or if one of
        `callbacks` uses held-out rows.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops. It waits for
        200 steps at least, since an epoch of a small table may be a single step.
    tol : float, default=1e-4
        The smallest increase of the ELBO, in nats per sample, that counts as an
        improvement for `early_stopping`.
    callbacks : list of skorch callbacks or None, default=None
        Callbacks of skorch, as its `NeuralNet` takes them. Copies are used, which
        are in ``net_.callbacks_`` afterwards. Their parameters can be set and
        searched as ``callbacks__name__parameter``, by skorch's names: the one given,
        or that of the class. A pickle of a fitted estimator has no callbacks.
    device : str or torch.device, default="auto"
        "auto" means "cuda" if there is such a device, otherwise "cpu". A fitted
        estimator uses the CPU where its device is missing.
    precision : {"float32", "float64", "bfloat16", "tf32"}, default="float32"
        Precision of training. With "bfloat16" the factors of matrix products are
        rounded to bfloat16, while parameters and sums are float32; it is faster only
        where the hardware multiplies bfloat16 (GPUs, CPUs with AMX). With "tf32" a
        CUDA device rounds float32 factors to 10 bits. `transform`, `score_samples`
        and the other methods compute in the dtype of their input; convolutional
        networks in that of their parameters, if it is smaller.
    compile : bool, default=False
        Whether the networks are compiled for training by `torch.compile`, where torch
        can do so. Compilation takes half a minute to a minute. It has not been
        measured on a GPU.
    warm_start : bool, default=False
        Whether `fit` continues from the last solution, with the same rows held out,
        the state of the optimizer and the random numbers that follow.
    verbose : int, default=0
        If not 0, epoch, ELBO and remaining time are shown: as a progress bar in a
        terminal or notebook, elsewhere as one line for each epoch. Callbacks of skorch
        that print, such as `PrintLog`, do so if it is not 0.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, also those of networks of your own, shuffling, the
        noise in training and samples. An int gives identical results each time on one
        machine and device, also for fits in several threads. The global generators of
        torch are neither read nor moved.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        Parameters of encoder and decoder, by the names of torch. Besides the weights
        they hold the means of the data: the built-in encoder starts by subtracting
        them, and the built-in decoder ends by adding their logits.
    active_units_ : ndarray of shape (n_components,), dtype=bool
        Latent variables that are used: the KL divergence of their posterior from the
        prior, averaged over the training data, is above 0.1 nats. The others have
        collapsed, in the sense of [4]_. After a short fit the average is over a part
        of the rows.
    n_iter_ : int
        Number of epochs run, in all fits that `warm_start` or `partial_fit` join.
    history_ : skorch.history.History
        One row for each epoch. ``train_loss`` is minus the mean ELBO of training rows
        in the course of the epoch, in nats per row, and ``train_reconstruction`` and
        ``train_kl`` are its terms, from the first and every 16th further mini-batch
        with one draw of z a row. Where rows are held out, ``valid_loss`` is minus the
        mean ELBO of a fixed subset of these after the epoch: 128 rows, or 0.5 % of the
        number of training rows if that is more.
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
    GaussianVAE : The same for real-valued data.
    BernoulliRBMGPU : An energy-based model of binary data.

    Notes
    -----
    With ``binarize="none"`` the score of data that is not binary is a cross
    entropy, useful to compare models on the same data, and not the log of a
    probability. Scores under different kinds of binarization do not compare.
    Values outside [0, 1] by more than rounding are neither bits nor probabilities:
    `fit` and all methods that take data warn of them, except with
    ``binarize="threshold"``.

    NaN in X marks what is missing: `fit` maximises the bound on the log-likelihood of
    what is observed, and the score is that bound. Each column needs a known value in
    `fit`; zeros of a sparse matrix are known. See the user guide, under "Missing
    values".

    `fit` issues a `ConvergenceWarning` if ``train_loss`` ends above its start, or still
    falls clearly in the second half of the epochs.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014.
    .. [2] D. J. Rezende, S. Mohamed and D. Wierstra, "Stochastic backpropagation and
       approximate inference in deep generative models", ICML 2014.
    .. [3] I. Higgins et al., "beta-VAE: learning basic visual concepts with a
       constrained variational framework", ICLR 2017.
    .. [4] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't blame the ELBO! A
       linear VAE perspective on posterior collapse", NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgen import BernoulliVAE
    >>> X = load_digits().data / 16
    >>> vae = BernoulliVAE(n_components=8, n_iter=5, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (1797, 8)
    >>> vae.sample(5).shape
    (5, 64)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseBernoulliVAE._parameter_constraints,
        "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 16,
        *,
        hidden_layer_sizes: LayerSizes = (256,),
        activation: Activation = "relu",
        architecture: Literal["mlp", "conv"] = "mlp",
        image_shape: Sequence[int] | None = None,
        encoder: Network = None,
        decoder: Network = None,
        binarize: Binarize = "none",
        beta: float = 1.0,
        n_importance_samples: int = 1,
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.architecture = architecture
        self.image_shape = image_shape
        self.encoder = encoder
        self.decoder = decoder
        self.binarize = binarize
        self.beta = beta
        self.n_importance_samples = n_importance_samples
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
