"""Resume: a training that was killed goes on from its last checkpoint."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from skorch.callbacks import Callback, EpochTimer, LoadInitState
from skorch.callbacks.scoring import ScoringBase
from torch import Tensor

from skgen.base._run_files import RunFiles
from skgen.base._run_identity import identity_of_fit
from skgen.base._tensor_tree import TensorEncoder
from skgen.base._validation import warn
from skgen.nn._seeding import resume_draws, states_of_draws
from skgen.training import GenerativeNet, Objective
from skgen.training._callbacks import Progress, WatchLoss
from skgen.training._device import resolve_device
from skgen.training._optimizer_state import resume_training, training_state
from skgen.training._user_callbacks import unnamed_callback

# Callbacks of which nothing is kept.
_STATELESS = (EpochTimer, LoadInitState, Progress, WatchLoss)


class Resume(Callback):
    """Save checkpoints during a fit, and go on from the newest one.

    Start the program again after it was killed, with the same parameters, data and
    directory: `fit` goes on after the last epoch that was saved, and ends with the
    same bits as a fit that was not interrupted. A fit that had ended does not train
    again. A checkpoint has the parameters, the states of the optimizer, of the
    objective (Markov chains, averages, models that are kept) and of all random numbers,
    the history, which rows are held out, and what callbacks remember: the attributes
    whose names end with an underscore, of callbacks of your own as well.

    Each checkpoint is a file of its own with a SHA-256. It is written beside the older
    ones and renamed when it is complete. The last two of each phase of a fit are kept
    (a `skgen.DeepBeliefNetwork` has several). Reading one runs no code.

    Parameters
    ----------
    dirname : str or path-like
        Directory of the checkpoints, which is made if there is none. It belongs to one
        fit: candidates of a search need one each.
    every : int, default=1
        Number of epochs from one checkpoint to the next. The last epoch of a fit is
        saved in any case.

    Raises
    ------
    ValueError
        By `fit`, if the checkpoints are of a fit with other parameters, data or
        classes of callbacks (the message lists what differs), if all of them are
        damaged, or if the directory cannot be used; by `partial_fit`, which has no end.
        Arguments of callbacks are not compared, nor what a function that makes a
        network finds in global variables.

    Warns
    -----
    UserWarning
        If the newest checkpoint is damaged, so that the fit goes on from the one
        before; and if a checkpoint cannot be written, for example because the disk is
        full: training goes on, and the older checkpoints stay.

    See Also
    --------
    skgen.io.load : Read a fitted estimator that its method `save` wrote to one file.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_digits
    >>> from skgen import BernoulliRBMGPU
    >>> from skgen.callbacks import Resume
    >>> X = load_digits().data / 16
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     resume = Resume(folder, every=5)
    ...     rbm = BernoulliRBMGPU(32, n_iter=10, callbacks=[resume], random_state=0)
    ...     first = rbm.fit(X).components_
    ...     again = rbm.fit(X).components_  # does not train
    >>> bool((first == again).all())
    True
    """

    # Those of a fit, which sets them.
    files_: RunFiles | None = None

    def __init__(self, dirname: Any, every: int = 1):
        self.dirname = dirname
        self.every = every

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Go on from the newest checkpoint, if there is one."""
        if self.files_ is None:
            raise ValueError(
                "Resume works in fit of an estimator of skgen. Pass it to the "
                "parameter callbacks."
            )
        content = self.files_.newest(net.phase)
        if content is not None:
            _restore(net, content)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write a checkpoint, if one is due."""
        n_epochs = net.epochs_of_fit()
        if self.files_ and (n_epochs % self.every == 0 or n_epochs == net.max_epochs):
            self.files_.write(net.phase, n_epochs, _content(net))


def find_resume(callbacks: Any) -> Resume | None:
    """Return the callback `Resume` of a list of callbacks, if there is one."""
    found = [c for c in map(unnamed_callback, callbacks or ()) if isinstance(c, Resume)]
    if len(found) > 1:
        raise ValueError(
            "Got two callbacks Resume, but expected one at most. Remove one of them: "
            "one saves all phases of a fit."
        )
    return found[0] if found else None


def files_of_fit(
    estimator: Any, X: Any, y: Any, weight: Any, *, state: Any, partial: bool
) -> RunFiles | None:
    """Return the checkpoints of a fit that is to begin, if it has a callback `Resume`.

    The random numbers of the estimator become those from which the fit of the
    checkpoints began, if there are any.

    Parameters
    ----------
    estimator : BaseGenerator
        The estimator, with ``random_state_``.
    X, y, weight : array, matrix or None
        Valid data, conditions and weights.
    state : dict
        The state that the fit starts from; empty if it starts anew.
    partial : bool
        Whether this is `partial_fit`, which has no end.

    Returns
    -------
    files : RunFiles or None
        The checkpoints.
    """
    resume = find_resume(estimator.callbacks)
    if resume is None:
        return None
    if partial:
        raise ValueError(
            "Got a callback Resume in partial_fit, but expected it in fit: one pass "
            "has nothing to go on from. Save the estimator between the calls (save)."
        )
    if not isinstance(resume.every, Integral) or resume.every < 1:
        raise ValueError(
            f"Got Resume(every={resume.every!r}), but expected a positive integer, the "
            "number of epochs between two checkpoints."
        )
    device = resolve_device(estimator.device)
    run = identity_of_fit(estimator, X, y, weight, device=device, state=state)
    files = RunFiles(resume.dirname, run)
    if estimator.random_state_ is check_random_state(None):
        # The global one is not the estimator's to set.
        estimator.random_state_ = np.random.RandomState(
            estimator.random_state_.randint(np.iinfo(np.int32).max)
        )
    files.begin(estimator.random_state_)
    return files


def give_files(net: GenerativeNet, files: RunFiles | None) -> None:
    """Tell the callback `Resume` of a net, if there is one, where checkpoints are."""
    for _, callback in net.callbacks_:
        if isinstance(callback, Resume):
            callback.files_ = files


def _content(net: GenerativeNet) -> dict[str, Any]:
    """What a training goes on from, as tensors, arrays and plain Python."""
    return {
        "n_epochs": net.epochs_of_fit(),
        "module": net.module_.state_dict(),
        "objective": net.criterion_.state_dict(),
        "progress": {name: part.progress() for name, part in _objectives(net)},
        "training": training_state(net),
        "draws": states_of_draws(net.module_),
        "moves": {n: p.requires_grad for n, p in net.module_.named_parameters()},
        "rates": [
            {name: value for name, value in group.items() if name != "params"}
            for group in net.param_groups()
        ],
        "history": net.history,
        "callbacks": {name: _state_of(c) for name, c in net.callbacks_},
    }


def _restore(net: GenerativeNet, content: dict[str, Any]) -> None:
    """Let a net, which has not begun to train, go on from `_content` of another."""
    net.module_.load_state_dict(content["module"])
    net.criterion_.load_state_dict(content["objective"])
    progress = _moved(content["progress"], torch.device(net.device))
    for name, part in _objectives(net):
        part.resume(progress[name])
    for name, parameter in net.module_.named_parameters():
        parameter.requires_grad_(content["moves"][name])
    resume_training(net, content["training"])
    resume_draws(net.module_, content["draws"])
    if net.learning_rate_schedule == "constant":  # or else the net sets the rates
        for group, values in zip(net.param_groups(), content["rates"], strict=True):
            group.update(values)
    for name, callback in net.callbacks_:
        _set_state(callback, content["callbacks"].get(name, {}))
    net.history[:] = content["history"]
    net.n_resumed_ = content["n_epochs"]


def _moved(value: Any, device: torch.device) -> Any:
    """Move tensors to a device, also those in dicts, lists and tuples."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _moved(each, device) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_moved(each, device) for each in value)
    return value


def _objectives(net: GenerativeNet) -> Iterator[tuple[str, Objective]]:
    """Yield the objective, and those that are parts of it."""
    for name, part in net.criterion_.named_modules():
        if isinstance(part, Objective):
            yield name, part


def _state_of(callback: Any) -> dict[str, Any]:
    """What a callback remembers, as far as a file can hold it."""
    if isinstance(callback, (*_STATELESS, Resume)):
        return {}
    state: dict[str, Any] = {}
    for name, value in vars(callback).items():
        if not name.endswith("_") or name.endswith("__"):
            continue
        if isinstance(callback, ScoringBase) and name != "best_score_":
            continue  # predictions of the last epoch
        if isinstance(value, type):
            continue
        has_own = callable(getattr(value, "load_state_dict", None))
        kind, value = (
            ("state_dict", value.state_dict()) if has_own else ("value", value)
        )
        try:
            TensorEncoder().encode(value, name)
        except TypeError as error:  # a file, a writer, and the like
            if has_own:
                warn(
                    f"Resume cannot save {name} of the callback "
                    f"{type(callback).__name__} ({error}): a fit that is resumed may "
                    "end otherwise than one that is not."
                )
            continue
        state[name] = {kind: value}
    return state


def _set_state(callback: Any, state: dict[str, Any]) -> None:
    for name, kept in state.items():
        if "value" in kept:
            setattr(callback, name, kept["value"])
        else:
            getattr(callback, name).load_state_dict(kept["state_dict"])
