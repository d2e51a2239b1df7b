"""GaussianVAE: a variational autoencoder of real-valued data."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.utils._param_validation import Interval

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
from skgen.vae._gaussian_base import BaseGaussianVAE
from skgen.vae._imputation import ImputingVAE


class GaussianVAE(ImputingVAE, BaseGaussianVAE):
    r"""Variational autoencoder of real-valued data with Gaussian noise.

    A latent variable model with a neural network f, the decoder,

    .. math:: z \sim \mathcal{N}(0, I), \quad
              x \sim \mathcal{N}\left(f(z), \operatorname{diag} \sigma^2\right),

    and an approximate posterior :math:`q(z \mid x) = \mathcal{N}(\mu(x),
    \operatorname{diag} \sigma_q^2(x))` by another, the encoder. Both are trained
    by stochastic gradient ascent on the evidence lower bound (ELBO) of the
    log-likelihood, with the reparameterisation trick [1]_ [2]_. The score is the
    ELBO in nats with all its constants, so that `noise_variance`, `n_components`,
    networks and `beta` can be compared by it.

    By default each feature has a noise variance :math:`\sigma_i^2` of its own and is
    standardised inside of the model, so that the units and offsets of the features do
    not matter, and the networks start at probabilistic PCA in closed form. With
    ``noise_variance="learned"`` the model is isotropic,
    :math:`\mathcal{N}(f(z), \sigma^2 I)` in the units of X; without hidden layers
    it is then probabilistic PCA.

    Parameters
    ----------
    n_components : int, default=16
        Number of latent variables.
    hidden_layer_sizes : tuple of int or int, default=(128, 128)
        Widths of the hidden layers of the encoder; the decoder has the same in reverse
        order. An empty tuple makes both linear: factor analysis, or probabilistic PCA
        with ``noise_variance="learned"``. Linear networks start at random.
    activation : str, default="relu"
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu",
        "elu", "silu", "gelu" or "softplus".
    architecture : {"shortcut", "mlp", "conv"}, default="shortcut"
        Networks of fully connected layers ("mlp"); the same with a linear map beside
        the hidden layers of the encoder and of the decoder, which starts at
        probabilistic PCA with the number of components of least BIC ("shortcut"); or,
        with "conv", fully connected layers with two strided convolutions (32 and 64
        channels, 3 × 3) before those of the encoder, and their transposes behind those
        of the decoder, for which `image_shape` is needed. With `encoder` or `decoder`,
        "shortcut" means "mlp" for the other one.
    image_shape : tuple of (int, int) or (int, int, int) or None, default=None
        Shape of the images in the rows of X, for "conv": height and width, or
        channels, height and width.
    encoder : type of nn.Module, nn.Module or None, default=None
        Another network, which maps (batch, n_features), standardised data (see Notes),
        to (batch, 2 * n_components): the means of the posterior and after them its
        log-variances. A class is called with the two widths, as `torch.nn.Linear` is;
        an instance is copied, and training starts from its parameters. None means that
        of `architecture`.
    decoder : type of nn.Module, nn.Module or None, default=None
        Likewise, from (batch, n_components) to (batch, n_features): the mean of
        x given z, standardised.
    noise_variance : float, "learned" or "per_feature", default="per_feature"
        Variance :math:`\sigma^2` of the noise: one for each feature that is learned
        ("per_feature"), one for all that is learned ("learned"), or a fixed number
        for all, in the units of X squared. Learned variances are set in closed form at
        the end of `fit`, after a short fit over a part of the rows. With
        "per_feature" they have a lower limit that depends on the number of rows (see
        Notes); with "learned" it is 1e-6 of the mean variance of the features.
    beta : float, default=1.0
        Weight of the KL term in training (β-VAE [3]_). It does not enter the score.
    n_importance_samples : int, default=1
        Number of draws of z for each row in a training step. With more than one the
        importance-weighted bound is maximised instead of the ELBO: it is closer to the
        log-likelihood, and a step takes as many times as long in the decoder.
        ``train_loss`` is then minus that bound; the score is the ELBO in either case.
    n_warmup_iter : int or "auto", default="auto"
        Number of epochs over which the weight of the KL term rises from 0 to `beta`.
        Early stopping begins after them. "auto" opens the latent variables that the
        linear start does not use in stages (see Notes), in a first fit of at least
        1000 steps with ``architecture="shortcut"``; early stopping then begins after
        60 % of the epochs. In other fits "auto" means 0.
    learning_rate : float, default=3e-3
        Learning rate of Adam.
    batch_size : int, default=256
        Number of rows of a mini-batch.
    n_iter : int or "auto", default="auto"
        Number of passes over the training data (epochs). "auto" counts steps, that is
        mini-batches: as many epochs as make at least 3000 steps, and at least 100.
        With up to `batch_size` rows these are 3000 epochs of one step.
    weight_decay : float or "auto", default="auto"
        Each step subtracts ``learning_rate * weight_decay`` times the weights
        (AdamW); biases do not decay. "auto" is a decay of the hidden and output layers
        beside the linear map of ``architecture="shortcut"``,
        :math:`30\, m (m - 1) / (2 n)` with n rows and m the number of features or of
        latent variables, whichever is smaller: the number of correlations that the rows
        must determine, for each row. At most a tenth of a weight is subtracted in a
        step. With other networks "auto" means 0.
    learning_rate_schedule : str, default="auto"
        "constant", "linear", "one_cycle" or "auto". With "linear" the learning rate
        falls to zero over `n_iter` epochs; with "one_cycle" it rises during the first
        30 % of them and then falls to zero.
        "auto" means "constant" if one of `callbacks` is an `LRScheduler`, and "linear"
        otherwise.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows and to stop when
        their ELBO has not increased by `tol` for `n_iter_no_change` epochs. The
        parameters of the best epoch are restored.
    validation_fraction : float, default=0.1
        Fraction of the rows that is held out, with `early_stopping` or if one of
        `callbacks` uses held-out rows.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops. It waits for
        200 steps at least, since an epoch of a small table may be a single step, and
        as long as a learned noise variance still falls by more than 1 %.
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
        Parameters of encoder and decoder, by the names of torch. They map from and to
        standardised data.
    noise_variance_ : float or ndarray of shape (n_features,)
        Variance of the noise, in the units of X squared.
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
    BernoulliVAE : The same for binary data.
    sklearn.decomposition.PCA : The linear model, in closed form.
    sklearn.decomposition.FactorAnalysis : That with a noise variance a feature.

    Notes
    -----
    **Units.** Outside of the networks, each feature is centered and divided by its
    standard deviation, in float64. A fit to :math:`a_i x_i + b_i` therefore gives the
    same features, the same samples in the new units and a score that is lower by
    :math:`\sum_i \log |a_i|`, up to rounding. If the noise is isotropic ("learned" or a
    number), all features are divided by one number, the root of their mean variance,
    and should have similar variances, as for PCA. `fit` raises a `ValueError` if a
    standard deviation is above 1e18, whose square float32 cannot hold well.

    **Missing values.** NaN in X marks what is missing. `fit` maximises the bound on the
    log-likelihood of what is observed, and the score is that bound. The posterior given
    what is observed of a row is found by repeated linearisation of the decoder, exactly
    where that is linear; `impute` and `sample` with ``given`` weigh its points by their
    importance. Each column needs a known value in `fit`; zeros of a sparse matrix are
    known. See the user guide, under "Missing values".

    **Lower limit of the noise.** A learned variance of one feature is at least

    .. math:: \sigma^2_{i,\min} = \frac{1}{n}
              \frac{\langle x_i^4 \rangle}{\langle x_i^2 \rangle^2}
              \langle x_i^2 \rangle

    for n rows of centered data: as a share of the variance, this is the kurtosis over
    the number of rows, between 1e-6 and 1. Where the linear start leaves less of the
    feature, in rows that it has not seen, that is the limit.

    **Spread of samples.** At the end of `fit`, a variance of one feature is raised
    where samples would have less than 0.7 of the standard deviation :math:`s_i` of the
    feature, to :math:`\sigma_i^2 = 0.49\, s_i^2 - \operatorname{Var} f_i(z)`. The
    networks can reconstruct a value that few rows have better than the prior ever
    generates it.

    **Outliers.** A value more than 100 robust standard deviations away from the median
    of its column is taken for a fault: `fit` warns, and in training and in front of the
    encoder the largest or the smallest plausible value takes its place.

    **Start and stages.** The linear maps of ``architecture="shortcut"`` start at
    probabilistic PCA [5]_. A latent variable that it does not use is at a stationary
    point of the ELBO, from which no gradient leads away [4]_. One such variable starts
    with a low weight of its KL term [6]_, the others join after 30 % of the training
    with a weight of up to 1.5, and the last 40 % maximise the ELBO itself (times
    `beta`).

    **Convergence.** `fit` issues a `ConvergenceWarning` if ``train_loss`` ends above
    its start, or still falls clearly in the second half of the epochs.

    The user guide describes all of this, under "Ordinary tables" and "Variational
    autoencoders".

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014.
    .. [2] D. J. Rezende, S. Mohamed and D. Wierstra, "Stochastic backpropagation and
       approximate inference in deep generative models", ICML 2014.
    .. [3] I. Higgins et al., "beta-VAE: learning basic visual concepts with a
       constrained variational framework", ICLR 2017.
    .. [4] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't blame the ELBO! A
       linear VAE perspective on posterior collapse", NeurIPS 2019.
    .. [5] M. E. Tipping and C. M. Bishop, "Probabilistic principal component
       analysis", Journal of the Royal Statistical Society B 61, 1999.
    .. [6] S. R. Bowman et al., "Generating sentences from a continuous space",
       CoNLL 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgen import GaussianVAE
    >>> X = load_digits().data
    >>> vae = GaussianVAE(n_components=8, n_iter=5, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (1797, 8)
    >>> vae.sample(5).shape
    (5, 64)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseGaussianVAE._parameter_constraints,
        "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 16,
        *,
        hidden_layer_sizes: LayerSizes = (128, 128),
        activation: Activation = "relu",
        architecture: Literal["shortcut", "mlp", "conv"] = "shortcut",
        image_shape: Sequence[int] | None = None,
        encoder: Network = None,
        decoder: Network = None,
        noise_variance: NoiseVariance = "per_feature",
        beta: float = 1.0,
        n_importance_samples: int = 1,
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.architecture = architecture
        self.image_shape = image_shape
        self.encoder = encoder
        self.decoder = decoder
        self.noise_variance = noise_variance
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

    def _in_double(self, rows: Any) -> Any:
        if self._units is None:
            return rows.X.astype(np.float64)
        return self._units.of_rows(rows.source, bounded=False, dtype=torch.float64)
