"""GenerativeImputer: imputation of missing values by a generative model."""

import copy
import inspect
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.impute import MissingIndicator
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    MissingValues,
    StrOptions,
)
from sklearn.utils._set_output import (
    _get_output_config,
    _wrap_data_with_container,
)
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    has_fit_parameter,
)

from skgen.base._arguments import validated_arguments
from skgen.base._checked import checked_fit
from skgen.base._failure import unchanged_on_failure
from skgen.base._fit_tasks import FitTasks, SupportsCallbacks, without_callbacks
from skgen.base._fitting import draw_seed
from skgen.base._intake import taken_into_memory
from skgen.base._python_scalars import python_scalars
from skgen.base._saving import SavesMixin
from skgen.base._training_data import without_weightless
from skgen.base._typing import RandomState
from skgen.impute._bits import BitCode, fit_in_rounds
from skgen.impute._columns import Column, decode, encode, numeric_column
from skgen.impute._default import default_model
from skgen.impute._frames import describe_frame, filled_frame, is_frame
from skgen.impute._tables import (
    as_array,
    check_kinds,
    nan_is_missing,
    read_table,
    validated_table,
    value_limits,
    with_repetitions,
)

# What a limit of filled values may be, as a type and as `fit` checks it.
Limit = float | Sequence[float] | np.ndarray | Literal["observed"] | None
_LIMIT = [
    None,
    Interval(Real, None, None, closed="both"),
    StrOptions({"observed"}),
    "array-like",
]


class GenerativeImputer(SavesMixin, SupportsCallbacks, TransformerMixin, BaseEstimator):
    r"""Fill in missing values by their means under a generative model.

    The model p(x) of whole rows learns from what is known of each row. Then each
    missing value is estimated by its conditional mean given the known values of its
    row, :math:`\langle x_m \mid x_o \rangle`, which has the smallest expected squared
    error; or, with `sample_posterior`, all missing values of a row are drawn together
    from :math:`p(x_m \mid x_o)`. Known values are never changed.

    Columns are used in any units. In a DataFrame, columns of categories, strings and
    booleans are filled with categories that were seen in `fit`, and columns of an
    integer dtype with integers between the smallest and the largest one seen.

    Parameters
    ----------
    estimator : estimator or None, default=None
        The model: an estimator with `fit`, `sample` with ``given``, and `impute`, such
        as :class:`skgen.GaussianVAE` or :class:`skgen.BernoulliRBMGPU`. None means a
        `GaussianVAE` with small networks (see Notes). An estimator that takes NaN in
        `fit`, by its tags, gets the values themselves; others get them coded by bits.
    n_levels : int, default=4
        Number of bits by which a feature is coded, for an estimator that does not take
        NaN; 1 for binary features.
    max_iter : int, default=40
        Number of rounds of training and imputation of an estimator that does not take
        NaN. The learning rate falls linearly over them, from that of `estimator` to
        zero.
    n_gibbs_steps : int, default=200
        Number of steps of block Gibbs sampling by which `transform` estimates means, or
        draws, with an RBM.
    missing_values : int, float, str, np.nan, None or pandas.NA, default=np.nan
        What marks missing values. In a DataFrame, what pandas takes for missing is so
        in any case.
    sample_posterior : bool, default=False
        Whether `transform` draws missing values instead of giving their means.
        `impute_multiple` has several draws.
    min_value, max_value : float, array-like, "observed" or None, default=None
        Limits of the filled values: numbers, one for all or one for each feature, or
        the smallest and the largest known value of each feature in `fit`. None means
        that there are no limits but those of integers. Categories have none.
    add_indicator : bool, default=False
        Whether columns follow that say where values were missing, by
        :class:`sklearn.impute.MissingIndicator`.
    keep_empty_features : bool, default=False
        Whether features without any known value in `fit` are kept, and filled with 0.
        Otherwise `transform` drops them. In columns of categories, which have nothing
        to be filled with, missing values then stay.
    random_state : int, RandomState instance or None, default=None
        Determines training and imputation. `transform` uses the same seed each
        time.

    Attributes
    ----------
    estimator_ : estimator
        The fitted model. It sees columns of numbers as they are, after outliers are
        limited (see Notes), columns of categories as one column of 0 and 1 for each
        category, and no columns of one value. It is not fitted if there are only such
        columns.
    data_min_, data_max_ : ndarray of shape (n_features,)
        The smallest and the largest known value of each feature; NaN for categories,
        and where none is known.
    indicator_ : MissingIndicator or None
        What adds the columns of `add_indicator`.
    n_iter_ : int
        Number of rounds run, or of epochs of an estimator that takes NaN.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, if they are all strings.

    See Also
    --------
    sklearn.impute.KNNImputer : Imputation by the nearest rows.
    sklearn.impute.IterativeImputer : Imputation by regressions on other features.

    Notes
    -----
    **The default model** is ``GaussianVAE(hidden_layer_sizes=(64, 64),
    activation="silu")`` with about 1200 training steps and a `weight_decay` of
    :math:`3\, m (m - 1) / (2 n)` for n rows, where m is the number of columns or 16,
    whichever is smaller. It is chosen by errors on ten tables, which are in the user
    guide.

    **Rows.** With the default model and all others that integrate by fixed points, the
    mean that a row gets depends on the values of that row alone. An RBM estimates means
    by random draws: what a row gets depends on its place, within the error of these.
    Draws are random in any case; their law depends on the row alone.

    **Outliers.** In front of the model, numbers are limited to 10 robust standard
    deviations around the median of their column: the larger one of the interquartile
    range divided by 1.349, and the distance of the percentiles 1 and 99 divided by
    4.653. One faulty row then does little harm to the others.

    **Bits.** For a model of bits, bit k of a feature is 1 if the value, scaled to
    [0, 1] by the smallest and the largest known value of the feature, is above
    :math:`(k - \frac{1}{2}) / n_\text{levels}`. The mean of these bits, or of their
    probabilities, is the value to within half a level. Passes of training alternate
    with draws of the missing bits from the model, given the known ones (stochastic EM
    [1]_).

    References
    ----------
    .. [1] G. Celeux and J. Diebolt, "The SEM algorithm: a probabilistic teacher
       algorithm derived from the EM algorithm for the mixture problem",
       Computational Statistics Quarterly 2, 1985.
    .. [2] P.-A. Mattei and J. Frellsen, "MIWAE: deep generative modelling and
       imputation of incomplete data sets", ICML 2019.
    .. [3] D. B. Rubin, "Multiple imputation for nonresponse in surveys", Wiley, 1987.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skgen.impute import GenerativeImputer
    >>> X = load_iris().data
    >>> missing = np.random.RandomState(0).uniform(size=X.shape) < 0.3
    >>> imputer = GenerativeImputer(random_state=0)
    >>> filled = imputer.fit_transform(np.where(missing, np.nan, X))
    >>> bool(np.isnan(filled).any())
    False
    """

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods(["fit", "sample", "impute"]), None],
        "n_levels": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_gibbs_steps": [Interval(Integral, 1, None, closed="left")],
        "missing_values": [MissingValues()],
        "sample_posterior": ["boolean"],
        "min_value": _LIMIT,
        "max_value": _LIMIT,
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_levels: int = 4,
        max_iter: int = 40,
        n_gibbs_steps: int = 200,
        missing_values: Any = np.nan,
        sample_posterior: bool = False,
        min_value: Limit = None,
        max_value: Limit = None,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.n_levels = n_levels
        self.max_iter = max_iter
        self.n_gibbs_steps = n_gibbs_steps
        self.missing_values = missing_values
        self.sample_posterior = sample_posterior
        self.min_value = min_value
        self.max_value = max_value
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.random_state = random_state

    @checked_fit(nested=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn the model from incomplete rows.

        The result does not depend on the order of the rows.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            Data, in which `missing_values` marks what is missing.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            How much each row counts. Integers say how often a row is repeated, as long
            as all rows together are at most 10 times as many as before, or 10,000;
            other weights are passed to `fit` of the model. A row of weight zero is as
            good as absent. None means that all count alike.

        Returns
        -------
        self : object
            The fitted imputer.

        Raises
        ------
        ValueError
            If parameters, data or weights are not valid. What was fitted before stays
            as it was.
        TypeError
            If a column of a DataFrame is of a dtype that is neither a number nor a
            category.
        KeyboardInterrupt
            If it is interrupted from the keyboard. What was learned before is kept: by
            the last whole round, or by an estimator that takes NaN.
        """
        tasks = FitTasks(self, X, None, sample_weight)
        with unchanged_on_failure(self), python_scalars(self):
            interrupted = self._fit(X, sample_weight, tasks)
            if not interrupted:
                tasks.end(partial(without_callbacks, self.__dict__, is_fitted=True))
        if interrupted:
            raise KeyboardInterrupt
        return self

    def _fit(self, X: Any, sample_weight: Any, tasks: FitTasks) -> bool:
        """Fit the model; tell whether that was interrupted."""
        X, _, weight = without_weightless(taken_into_memory(X), None, sample_weight)
        whole = np.issubdtype(getattr(X, "dtype", np.float64), np.integer)
        X, weight = with_repetitions(validated_table(self, X, reset=True), weight)
        table, missing = read_table(X, self.missing_values)
        if is_frame(X):
            columns = describe_frame(X, table)
        else:
            columns = [numeric_column(values, whole=whole) for values in table]
        self._columns = columns
        self._code: BitCode | None = None
        self.data_min_ = np.array([column.low for column in columns])
        self.data_max_ = np.array([column.high for column in columns])
        self._limits = value_limits(self)
        self.indicator_ = None
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False)
            self.indicator_.fit(_as_gaps(missing))
        rng = check_random_state(self.random_state)
        codes = encode(columns, table)
        model = self.estimator
        if model is None:
            model = default_model(*codes.shape)
        model = clone(model).set_params(random_state=draw_seed(rng))
        interrupted = self._fit_model(model, codes, weight, rng, tasks)
        self._seed = draw_seed(rng)
        return interrupted

    def _fit_model(
        self,
        model: Any,
        codes: np.ndarray,
        weight: np.ndarray | None,
        rng: np.random.RandomState,
        tasks: FitTasks,
    ) -> bool:
        """Fit the model to what it sees; tell whether that was interrupted."""
        self.estimator_, self.n_iter_ = model, 1
        if not codes.shape[1]:
            tasks.begin(1, 0)
            return False

        def follow(model: Any, fit: Callable[[], Any], n_rounds: int) -> bool:
            as_fitted = partial(self._attributes_as_fitted, model, n_rounds, rng)
            return tasks.follow_fit_of(model, "fit-model", fit, as_fitted)

        if weight is not None and not has_fit_parameter(model, "sample_weight"):
            raise ValueError(
                "Got sample_weight that is not made of small integers, but fit of "
                f"{type(model).__name__} takes no sample_weight. Pass integers, by "
                "which rows are repeated, or None."
            )
        if not get_tags(model).input_tags.allow_nan:
            _check_fits_in_rounds(model)
            low, high = np.nanmin(codes, axis=0), np.nanmax(codes, axis=0)
            code = self._code = BitCode(low, high, self.n_levels)
            bits = code.encode(codes)
            tasks.begin(1, self.max_iter)
            self.estimator_, self.n_iter_, interrupted = fit_in_rounds(
                model, bits, weight, self.max_iter, rng, follow
            )
            return interrupted
        tasks.begin(1, 1)
        interrupted = False
        weights = {} if weight is None else {"sample_weight": weight}
        try:
            with warnings.catch_warnings():
                if self.estimator is None:
                    # The length of its training is part of what is chosen.
                    warnings.simplefilter("ignore", ConvergenceWarning)
                follow(model, partial(model.fit, codes, **weights), 1)
        except KeyboardInterrupt:
            if not _is_fitted(model):
                raise
            interrupted = True
        self.n_iter_ = getattr(model, "n_iter_", 1)
        return interrupted

    def _attributes_as_fitted(
        self, model: Any, n_rounds: int, rng: np.random.RandomState
    ) -> dict[str, Any]:
        """Return the attributes of an imputer whose fit would end now."""
        attributes = without_callbacks(self.__dict__, is_fitted=True)
        return attributes | {
            "estimator_": copy.copy(model),
            "n_iter_": n_rounds if self._code else getattr(model, "n_iter_", 1),
            "_seed": draw_seed(copy.deepcopy(rng)),
        }

    def transform(self, X: Any) -> Any:
        """Impute the missing values.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            Data, in which `missing_values` marks what is missing.

        Returns
        -------
        X : {ndarray, DataFrame} of shape (n_samples, n_features_out)
            Data in which missing values are replaced by conditional means, or by draws.
            Features without any known value in `fit` are left out, unless
            `keep_empty_features`. Arrays are of floating point, or of objects where
            there are categories. After ``set_output(transform="pandas")``, a DataFrame
            keeps its dtypes.
        """
        check_is_fitted(self)
        return self._transform(X, self._seed, draws=self.sample_posterior)

    @validated_arguments(
        {
            "X": "no_validation",
            "n_imputations": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
        }
    )
    def impute_multiple(
        self, X: Any, n_imputations: int = 20, *, random_state: Any = None
    ) -> list[Any]:
        """Impute several times by draws (multiple imputation; Rubin, 1987).

        The spread of a result over the imputations says how uncertain the missing
        values make it. The uncertainty of the fitted model itself is not in it; fits
        with weights of a bootstrap, one for each imputation, add that.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            Data, in which `missing_values` marks what is missing.
        n_imputations : int, default=20
            Number of imputations.
        random_state : int, RandomState instance or None, default=None
            Source of the draws. None means other ones at each call.

        Returns
        -------
        tables : list of {ndarray, DataFrame} of shape (n_samples, n_features_out)
            The completed tables, each of them as `transform` returns it.
        """
        check_is_fitted(self)
        rng = check_random_state(random_state)
        seeds = [draw_seed(rng) for _ in range(n_imputations)]
        return [
            _wrap_data_with_container(
                "transform", self._transform(X, seed, draws=True), X, self
            )
            for seed in seeds
        ]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of the output.

        Parameters
        ----------
        input_features : array-like of str of shape (n_features,) or None, default=None
            Names of the input; None means `feature_names_in_`, or x0, x1 and so on.

        Returns
        -------
        names : ndarray of str of shape (n_features_out,)
            The names of the features that are kept, and those of the indicator.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        kept = names[self._kept()]
        if self.indicator_ is None:
            return kept
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)])

    def _transform(self, X: Any, seed: int, *, draws: bool) -> Any:
        X = validated_table(self, X, reset=False)
        table, missing = read_table(X, self.missing_values)
        check_kinds(self._columns, X, table)
        filled = self._fill(encode(self._columns, table), seed, draws=draws)
        kept = self._kept()
        as_frame = is_frame(X) and _output_is_pandas(self)
        if as_frame:
            out = filled_frame(X, missing, filled, kept)
        else:
            dtype = np.float64 if is_frame(X) else X.dtype
            out = as_array(table, missing, filled, kept, dtype)
        if self.indicator_ is None:
            return out
        gaps = self.indicator_.transform(_as_gaps(missing))
        if not as_frame:
            return np.hstack([out, gaps])
        names = self.indicator_.get_feature_names_out(_check_feature_names_in(self))
        return out.assign(**dict(zip(names, gaps.T, strict=True)))

    def _fill(self, codes: np.ndarray, seed: int, *, draws: bool) -> list[np.ndarray]:
        """Return values of all columns, with estimates of what is missing."""
        rows = np.isnan(codes).any(axis=1)
        if rows.any():
            codes[rows] = self._estimate(codes[rows], seed, draws=draws)
        return [
            values if values.dtype == object else np.clip(values, low, high)
            for values, low, high in zip(
                decode(self._columns, codes), *self._limits, strict=True
            )
        ]

    def _estimate(self, codes: np.ndarray, seed: int, *, draws: bool) -> np.ndarray:
        """Means or draws of all that the model sees of incomplete rows."""
        model, code = self.estimator_, self._code
        data = codes if code is None else code.encode(codes)
        method = model.sample if draws else model.impute
        given: dict[str, Any] = {"given": data} if draws else {"X": data}
        takes = inspect.signature(method).parameters
        options = {"n_gibbs_steps": self.n_gibbs_steps, "sampler": "gibbs"}
        given |= {name: value for name, value in options.items() if name in takes}
        filled = method(**given, random_state=seed)
        return filled if code is None else code.decode(filled)

    def _kept(self) -> np.ndarray:
        """Indices of the columns of the input that are in the output."""
        empty = np.array([column.is_empty for column in self._columns])
        return np.flatnonzero(~empty | self.keep_empty_features)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle; callbacks of scikit-learn of a fitted imputer are left out."""
        is_fitted = hasattr(self, "_seed")
        return without_callbacks(super().__getstate__(), is_fitted=is_fitted)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read a pickle, also of a version that knew numbers coded by bits only."""
        super().__setstate__(state)
        attributes: dict[str, Any] = self.__dict__
        for name, parameter in inspect.signature(type(self)).parameters.items():
            attributes.setdefault(name, parameter.default)
        if "estimator_" not in attributes or "_columns" in attributes:
            return
        ranges = self.data_min_, self.data_max_
        self._columns = [
            Column(low=low, high=high, constant_too=True)
            for low, high in zip(*ranges, strict=True)
        ]
        self._code = BitCode(*ranges, self.n_levels)
        self._limits = value_limits(self)
        self.indicator_ = None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = nan_is_missing(self.missing_values)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _as_gaps(missing: np.ndarray) -> np.ndarray:
    """Return an array with NaN where values are missing."""
    return np.where(missing, np.nan, 0.0)


def _check_fits_in_rounds(model: Any) -> None:
    """Raise a TypeError for a model that cannot learn from incomplete rows."""
    takes = inspect.signature(model.sample).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    if not (takes_all or {"given", "sampler", "n_gibbs_steps"} <= set(takes)):
        raise TypeError(
            f"Got estimator={type(model).__name__}, whose fit takes no NaN and whose "
            "sample runs no Gibbs chains, so that it cannot learn from incomplete "
            "rows. Expected None, GaussianVAE, BernoulliVAE or BernoulliRBMGPU."
        )


def _is_fitted(model: Any) -> bool:
    try:
        check_is_fitted(model)
    except NotFittedError:
        return False
    return True


def _output_is_pandas(imputer: GenerativeImputer) -> bool:
    """Whether `transform` is asked for a DataFrame of pandas."""
    return _get_output_config("transform", imputer)["dense"] == "pandas"
