"""Copies of the callbacks of a user, and what they say of a fit."""

import copy

import pytest
from sklearn.base import clone
from skorch.callbacks import (
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LoadInitState,
    LRScheduler,
    NeptuneLogger,
    PrintLog,
    TrainEndCheckpoint,
    WandbLogger,
)

from skgen import BernoulliRBMGPU
from skgen.training._user_callbacks import (
    callbacks_for_training,
    check_phases,
    copy_callbacks,
    deepcopy_callbacks,
    restores_an_epoch,
    watches_held_out_rows,
)


def linked():
    """A checkpoint, one with a name, and one that cannot be copied deeply."""
    first, second = TrainEndCheckpoint(), Checkpoint()
    second.stream = Uncopied()
    return [
        LoadInitState(second),
        first,
        ("loads", LoadInitState(first)),
        ("second", second),
    ]


class Uncopied:
    def __deepcopy__(self, memo):
        raise TypeError("no")


def copied(way):
    model = BernoulliRBMGPU(callbacks=linked())
    return lambda callbacks: way(model.set_params(callbacks=callbacks)).callbacks


WAYS = {
    "shallow": copy_callbacks,
    "deep": deepcopy_callbacks,
    "training": lambda callbacks: callbacks_for_training(callbacks, 0),
    "copy": copied(copy.copy),
    "deepcopy": copied(copy.deepcopy),
    "clone": copied(clone),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_copies_hold_each_other_as_the_originals_do(way):
    originals = linked()
    before = [originals[0].checkpoint, originals[2][1].checkpoint]
    of_second, first, (name, of_first), (_, second) = way(originals)
    assert name == "loads"
    assert of_first.checkpoint is first
    assert of_second.checkpoint is second
    assert first is not originals[1]
    assert second is not originals[3][1]
    assert second.stream is originals[3][1].stream
    assert [originals[0].checkpoint, originals[2][1].checkpoint] == before


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, clone])
def test_what_is_no_list_is_copied_as_it_is(way):
    """`fit` says what is wrong with it."""
    stop = EarlyStopping()
    assert isinstance(way(BernoulliRBMGPU(callbacks=stop)).callbacks, EarlyStopping)
    assert way(BernoulliRBMGPU(callbacks="print")).callbacks == "print"


def test_a_checkpoint_of_another_list_is_ready_to_be_read():
    """In a copy: that of the user stays as it was, and so does its original."""
    checkpoint = TrainEndCheckpoint(dirname="", fn_prefix="other_")
    (loads,) = callbacks_for_training([LoadInitState(checkpoint)], verbose=0)
    assert loads.checkpoint.checkpoint_.fn_prefix == "other_"
    assert not hasattr(checkpoint, "checkpoint_")


def test_loggers_of_numbers_do_not_get_the_name_of_a_phase():
    run = {}
    for ignored, expected in [
        (None, ["phase"]),
        ("dur", ["dur", "phase"]),
        (["dur"], ["dur", "phase"]),
    ]:
        logger = NeptuneLogger(run, keys_ignored=ignored)
        (made,) = callbacks_for_training([logger], verbose=0)
        assert made.keys_ignored == expected
        assert logger.keys_ignored is ignored
    (table,) = callbacks_for_training([PrintLog], verbose=0)
    assert table.keys_ignored is None  # it shows names, too


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (1, 1)])
def test_what_prints_does_if_it_is_asked_to(verbose, lines, capsys):
    """Skorch's callbacks print in any case to what is not `print`."""
    (prints,) = callbacks_for_training([PrintLog()], verbose)
    prints.sink("a row")
    assert capsys.readouterr().out.count("a row") == lines
    own = []
    (prints,) = callbacks_for_training([PrintLog(sink=own.append)], verbose)
    prints.sink("a row")
    assert own == ["a row"]


def test_what_watches_held_out_rows():
    for callback in (
        EarlyStopping,
        EarlyStopping(),
        Checkpoint(),
        EpochScoring(None),
        WandbLogger(None),
    ):
        assert watches_held_out_rows([callback])
        assert watches_held_out_rows([("name", callback)])
    for callback in (
        LRScheduler,
        TrainEndCheckpoint(),
        EarlyStopping(monitor="train_loss"),
        EpochScoring(None, on_train=True),
        WandbLogger(None, save_model=False),
    ):
        assert not watches_held_out_rows([callback])
    assert not watches_held_out_rows(None)


def test_what_restores_an_epoch():
    assert restores_an_epoch([("stop", EarlyStopping(load_best=True))])
    assert restores_an_epoch([PrintLog, Checkpoint(load_best=True)])
    assert not restores_an_epoch([EarlyStopping, Checkpoint(), PrintLog()])
    assert not restores_an_epoch(None)


def test_phases():
    check_phases([EarlyStopping, PrintLog()], "Network")
    check_phases(None, "Network")
    for callback in (LoadInitState, LoadInitState(Checkpoint())):
        with pytest.raises(ValueError, match="LoadInitState, but a Network trains"):
            check_phases([("load", callback)], "Network")
