"""Imputation of missing values by a generative model."""

from skgen.impute._imputer import GenerativeImputer

__all__ = ["GenerativeImputer"]
