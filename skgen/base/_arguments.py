"""Arguments of methods: validated, and as Python has them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from sklearn.utils._param_validation import InvalidParameterError, validate_params

from skgen.base._python_scalars import python_arguments


def validated_arguments(constraints: dict[str, Any]) -> Callable[..., Any]:
    """Decorate a method so that its arguments are validated as scikit-learn does.

    An error names the class of the object, and not the base class that has the method.
    Scalars of NumPy become those of Python.

    Parameters
    ----------
    constraints : dict of str to list or "no_validation"
        What each argument may be.

    Returns
    -------
    decorate : callable
        The decorator.
    """
    validated = validate_params(constraints, prefer_skip_nested_validation=True)

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method with validation."""
        checked = validated(python_arguments(method))

        @wraps(checked)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:  # numpydoc ignore=GL08
            try:
                return checked(self, *args, **kwargs)
            except InvalidParameterError as error:
                name = f"{type(self).__name__}.{method.__name__}"
                text = str(error).replace(method.__qualname__, name)
                raise InvalidParameterError(text) from None

        return call

    return decorate
