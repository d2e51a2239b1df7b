"""Estimators in files: round trips, damage, and what is refused."""

import io
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from skorch.callbacks import EpochScoring
from torch import nn

import skgen
from skgen import BernoulliRBMGPU, ConditionalGaussianVAE
from skgen.base import ConditionalMixin
from skgen.base import _container as container
from skgen.impute import GenerativeImputer
from skgen.io import load

X, Y = load_iris(return_X_y=True)
X = np.clip((X - X.min(0)) / np.ptp(X, axis=0), 0, 1)
WITH_GAPS = np.where(np.random.RandomState(0).uniform(size=X.shape) < 0.1, np.nan, X)


def small(cls, **params):
    names = cls().get_params()
    defaults = {"n_components": 3, "hidden_layer_sizes": (4, 3), "n_iter": 2}
    defaults |= {"random_state": 0}
    return cls(**{k: v for k, v in (defaults | params).items() if k in names})


def fitted(name):
    if name == "GenerativeImputer":
        return GenerativeImputer(random_state=0, add_indicator=True).fit(WITH_GAPS)
    return small(getattr(skgen, name)).fit(X, Y)


def results(model):
    """What an estimator computes, as arrays."""
    if isinstance(model, GenerativeImputer):
        return [model.transform(WITH_GAPS)]
    y = [Y] if isinstance(model, ConditionalMixin) else []
    draws = model.sample(5, random_state=0)
    found = [model.score_samples(X, *y), *(draws if y else [draws])]
    return found + ([model.transform(X)] if hasattr(model, "transform") else [])


NAMES = [*skgen.__all__, "GenerativeImputer"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, models = tmp_path_factory.mktemp("saved"), {}
    for name in NAMES:
        models[name] = fitted(name)
        models[name].save(folder / name)
    return folder, models


def test_round_trip_in_a_new_process(files):
    folder, models = files
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "import numpy as np, test_io\n"
        "from pathlib import Path\n"
        "from skgen.io import load\n"
        "folder = Path(sys.argv[1])\n"
        "for name in test_io.NAMES:\n"
        "    found = test_io.results(load(folder / name))\n"
        "    np.savez(folder / f'{name}.npz', *found)\n"
    )
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    subprocess.run([sys.executable, "-c", code, str(folder), *paths], check=True)
    for name, model in models.items():
        expected = results(model)
        with np.load(folder / f"{name}.npz") as found:
            assert len(found) == len(expected)
            for x, y in zip(found.values(), expected, strict=True):
                np.testing.assert_array_equal(x, y, err_msg=name)
                assert x.dtype == y.dtype


@pytest.mark.parametrize("name", NAMES)
def test_same_attributes(files, name):
    folder, models = files
    model, loaded = models[name], load(folder / name)
    assert type(loaded) is type(model)
    assert repr(loaded.get_params()) == repr(model.get_params())
    # What a score has found since is not in the file.
    assert set(vars(model)) - {"_nets", "_log_partition"} <= set(vars(loaded))


@pytest.mark.parametrize("name", skgen.__all__)
def test_training_goes_on_alike(files, name, tmp_path):
    folder, models = files
    both = [load(folder / name), load(folder / name)]
    both[0].partial_fit(X, Y)
    both[1].save(tmp_path / "again")
    again = load(tmp_path / "again").partial_fit(X, Y)
    for x, y in zip(results(both[0]), results(again), strict=True):
        np.testing.assert_array_equal(x, y)
    changed = zip(results(models[name]), results(again), strict=True)
    assert any(x.shape != y.shape or (x != y).any() for x, y in changed)


def test_saves_an_estimator_without_a_fit(tmp_path):
    model = BernoulliRBMGPU(7, random_state=np.random.RandomState(3))
    model.save(tmp_path / "m")
    loaded = load(tmp_path / "m")
    assert loaded.n_components == 7
    assert loaded.random_state.randint(10**9) == model.random_state.randint(10**9)
    loaded.fit(X)


def test_keeps_names_labels_and_order_of_memory(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd"))
    labels = np.array(["setosa", "versicolor", "virginica"], dtype=object)[Y]
    model = small(ConditionalGaussianVAE).fit(frame, labels)
    model.extra_ = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    model.when_ = np.array(["2026-11-29"], dtype="datetime64[D]")
    model.values_ = [
        np.float32(0.1),
        float("nan"),
        -float("inf"),
        2**70,
        np.bool_(True),
    ]
    model.bits_ = np.array([True, False])
    model.save(tmp_path / "m")
    loaded = load(tmp_path / "m")
    assert list(loaded.feature_names_in_) == list("abcd")
    assert set(loaded.sample(20, random_state=0)[1]) <= set(labels)
    assert loaded.extra_.flags.f_contiguous
    assert loaded.extra_[1, 2] == 5
    assert loaded.when_[0] == model.when_[0]
    assert repr(loaded.values_) == repr(model.values_)
    assert loaded.bits_.tolist() == [True, False]
    assert loaded.history_[-1, "train_loss"] == model.history_[-1, "train_loss"]


class Own(nn.Sequential):
    def __init__(self, n_in=4, n_out=6):
        super().__init__(nn.Linear(n_in, n_out))


@pytest.mark.parametrize(
    ("name", "networks", "n_out"),
    [
        ("GaussianVAE", ["encoder"], 6),
        ("EnergyModel", ["network"], 1),
        ("GAN", ["critic"], 1),
        ("GAN", ["critic", "generator"], 1),
    ],
)
def test_own_networks_are_asked_for(tmp_path, name, networks, n_out):
    given = {network: Own(4, n_out) for network in networks}
    if "generator" in given:
        given["generator"] = Own(3, 4)
    model = small(getattr(skgen, name), architecture="mlp", **given).fit(X)
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match=f"Pass {networks[-1]}= to load"):
        load(tmp_path / "m")
    loaded = load(tmp_path / "m", **given)
    for x, y in zip(results(loaded), results(model), strict=True):
        np.testing.assert_array_equal(x, y)
    clone(loaded).fit(X)


def test_callbacks_are_left_out_of_a_fit_and_refused_before_it(tmp_path):
    watch = EpochScoring(lambda net, *_: 0.0, name="nothing", on_train=True)
    model = small(BernoulliRBMGPU, callbacks=[watch])
    with pytest.raises(TypeError, match=r"callbacks of type EpochScoring.*to None"):
        model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())
    model.fit(X).save(tmp_path / "m")
    assert load(tmp_path / "m").callbacks is None


def test_refuses_other_classes(tmp_path):
    class Mine(BernoulliRBMGPU):
        pass

    with pytest.raises(TypeError, match=r"Mine.*those of skgen alone"):
        Mine().save(tmp_path / "m")
    model = BernoulliRBMGPU()
    model.extra = {1, 2}
    with pytest.raises(TypeError, match="extra of type set"):
        model.save(tmp_path / "m")


def changed_file(path, change):
    """Write a file anew, with another header and a checksum that is right."""
    content = path.read_bytes()
    arrays = safetensors.numpy.load(content)
    header = json.loads(container._metadata(content)["skgen"])
    change(header)
    container.write_container(path, header, arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(format=2), "format 2.*expected format 1.*newer version"),
        (lambda h: h["content"].update(estimator="Popen"), "class 'Popen'"),
        (lambda h: h["content"].update(estimator="LogPartition"), "makes no estimator"),
        (lambda h: h["content"]["parts"].update(fit=1), "replaces BernoulliRBMGPU.fit"),
        (
            lambda h: h["content"]["parts"].update(x={"code": "1"}),
            r"\['code'\].*no known",
        ),
        (
            lambda h: h["content"]["parts"].update(x={"array": "no"}),
            "makes no estimator.*no",
        ),
        (lambda h: h.pop("content"), "makes no estimator"),
        (lambda h: h.pop("format"), "makes no estimator"),
        (lambda h: h.pop("versions"), "makes no estimator"),
        (lambda h: h.update(format="1"), "makes no estimator"),
        (lambda h: h.update(content=5), "makes no estimator.*int"),
        (lambda h: h.update(content=None), "makes no estimator.*None"),
    ],
)
def test_refuses_what_save_does_not_write(tmp_path, change, message):
    path = tmp_path / "m"
    small(BernoulliRBMGPU).fit(X).save(path)
    changed_file(path, change)
    with pytest.raises(ValueError, match=message):
        load(path)


@pytest.mark.parametrize("header", [[], "x", 3, None])
def test_refuses_a_header_of_another_type(tmp_path, header):
    container.write_container(tmp_path / "m", header, {})
    with pytest.raises(ValueError, match="makes no estimator"):
        load(tmp_path / "m")


def test_damage_is_noticed(files, tmp_path):
    """Bits flipped, ends cut off, parts of other files: an error, and no import."""
    folder, models = files
    content = (folder / "BernoulliRBMGPU").read_bytes()
    other = (folder / "GaussianVAE").read_bytes()
    expected, rng = results(models["BernoulliRBMGPU"]), np.random.RandomState(0)
    n_header = int.from_bytes(content[:8], "little")
    path, before, n_loaded = tmp_path / "m", set(sys.modules), 0
    for turn in range(1000):
        damaged = bytearray(content)
        if turn % 5 == 0:
            del damaged[rng.randint(len(content)) :]
        elif turn % 5 == 1:
            start, n = rng.randint(len(content)), rng.randint(1, 200)
            damaged[start : start + n] = other[start : start + n]
        else:  # in the header and in the arrays
            last = 8 + n_header if turn % 5 == 2 else len(content)
            damaged[rng.randint(last)] ^= 1 << rng.randint(8)
        path.write_bytes(damaged)
        try:
            found = results(load(path))
        except ValueError:
            continue
        n_loaded += 1
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_array_equal(x, y)
    print(f"{n_loaded} of 1000 load identically")  # noqa: T201
    assert n_loaded < 50
    assert set(sys.modules) == before


@pytest.mark.parametrize("content", [b"", b"PK\3\4" * 40, b"\xff" * 64, b"{}" * 40])
def test_foreign_files(tmp_path, content):
    path = tmp_path / "m"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no file of skgen"):
        load(path)
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}))
    with pytest.raises(ValueError, match="no file of skgen"):
        load(path)


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path, model = tmp_path / "m", small(BernoulliRBMGPU).fit(X)
    model.save(path)
    before = path.read_bytes()

    def full(_):
        raise OSError("No space left on device")

    monkeypatch.setattr(container.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        model.fit(X[:50]).save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_stay(tmp_path):
    path, link = tmp_path / "m", tmp_path / "link"
    small(BernoulliRBMGPU).save(path)
    path.chmod(0o600)
    link.symlink_to("m")
    small(BernoulliRBMGPU, n_components=3).save(link)
    assert link.is_symlink()
    assert load(path).n_components == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_a_pipe_is_written_to(tmp_path):
    pipe, file = tmp_path / "pipe", tmp_path / "m"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        content = pool.submit(pipe.read_bytes)
        BernoulliRBMGPU().save(pipe)
        file.write_bytes(content.result())
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert load(file).get_params() == BernoulliRBMGPU().get_params()


def test_a_name_may_be_as_long_as_any(tmp_path):
    for name in ("x" * 255, "文" * 85):
        BernoulliRBMGPU().save(tmp_path / name)
        assert [p.name for p in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()


def test_where_there_can_be_no_file(tmp_path):
    model = BernoulliRBMGPU()
    with pytest.raises(FileNotFoundError, match=r"no directory '.*none'\. Make it"):
        model.save(tmp_path / "none" / "m")
    with pytest.raises(IsADirectoryError, match="which is a directory"):
        model.save(tmp_path)
    for path in (io.BytesIO(), None, 3):
        with pytest.raises(TypeError, match=r"str or a pathlib\.Path"):
            model.save(path)
    assert not any(tmp_path.iterdir())


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "m")


def test_checksum_is_that_of_the_file_with_zeros(tmp_path):
    import hashlib

    BernoulliRBMGPU().save(tmp_path / "m")
    content = (tmp_path / "m").read_bytes()
    stated = container._metadata(content)["sha256"]
    blank = content.replace(stated.encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == stated
    torch.manual_seed(0)  # the file is one of safetensors, which others read
    assert safetensors.numpy.load(content) == {}
