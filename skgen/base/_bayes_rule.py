"""BayesRuleMixin: the probabilities of labels by a model of the data given them."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import softmax
from sklearn.utils import ClassifierTags
from sklearn.utils.metaestimators import available_if
from torch import Tensor

from skgen.base._conditions import ConditionLaw, Conditions
from skgen.base._over_conditions import joint_bounds


def _may_have_classes(estimator: Any) -> bool:
    """Whether y is one column of labels; what needs that is absent otherwise.

    Before a fit it may be: scikit-learn asks for `predict` then.
    """
    conditions = getattr(estimator, "_conditions", None)
    if conditions is None:
        return estimator.y_kind != "values"
    if conditions.classes is None:
        raise AttributeError(
            f"{type(estimator).__name__} predicts labels only after a fit to y that is "
            "one column of labels."
        )
    return True


class BayesRuleMixin:
    """Mixin of models of p(x | y) that may be conditioned on one column of labels.

    If they are not, its methods are absent. A subclass says what its bound is: a
    function of a model that is given y, and of x.
    """

    _bound: ClassVar[Callable[..., Tensor]]

    _conditions: Conditions
    _law: ConditionLaw

    @property
    def classes_(self) -> np.ndarray:  # numpydoc ignore=RT01
        """The labels, sorted, if y is one column of them."""
        conditions = getattr(self, "_conditions", None)
        classes = None if conditions is None else conditions.classes
        if classes is None:
            raise AttributeError(
                f"{type(self).__name__} has classes_ only after a fit to y that is one "
                "column of labels."
            )
        return classes

    @property
    def class_prior_(self) -> np.ndarray:  # numpydoc ignore=RT01
        """The frequencies of the labels in the training data."""
        return self._law.class_prior(len(self.classes_))

    @available_if(_may_have_classes)
    def score_classes(self, X: Any) -> np.ndarray:
        r"""Bound the joint log-probability of each sample and each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes)
            :math:`\mathrm{ELBO}(x \mid y = c) + \log p(y = c)`, a lower bound on
            :math:`\log p(x, y = c)` in nats, with the frequencies `class_prior_`.
        """
        model: Any = self
        X = model._validate_data(X)
        classes = np.arange(len(self.classes_), dtype=np.float64)[:, None]
        with np.errstate(divide="ignore"):  # of a class without rows
            log_p = np.log(self.class_prior_)
        joint = partial(
            joint_bounds,
            conditions=torch.from_numpy(self._conditions.encoded(classes)),
            log_p=torch.from_numpy(log_p),
            bound=type(self)._bound,
        )
        return model._apply(joint, X) - model._log_scale_of(X)

    @available_if(_may_have_classes)
    def predict_proba(self, X: Any) -> np.ndarray:
        r"""Estimate the probabilities of the classes by Bayes' rule from the bound.

        .. math:: P(y = c \mid x) \approx \frac{p(c)\, e^{\mathrm{ELBO}(x \mid c)}}
                  {\sum_{c'} p(c')\, e^{\mathrm{ELBO}(x \mid c')}}

        It is exact where the bound is off by the same for all classes. These are
        probabilities of a generative model: they are as calibrated as p(x | y) is good.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        return softmax(self.score_classes(X), axis=1)

    @available_if(_may_have_classes)
    def predict(self, X: Any) -> np.ndarray:
        """Return the class of the largest bound on log p(x, y) for each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels.
        """
        best = self.score_classes(X).argmax(axis=1)
        return self.classes_[best]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.target_tags.multi_output = True
        # Of what has predict_proba, although it is no classifier by its type.
        tags.classifier_tags = ClassifierTags()
        return tags
