"""Searches of hyperparameters and trackers of experiments, with what they rely on."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from skorch.callbacks import MlflowLogger, TensorBoard

from skgen import BernoulliRBMGPU, DeepBeliefNetwork

X = load_digits().data[:120] / 16
TRAIN, VALID = X[:80], X[80:]


def rbm(**params):
    return BernoulliRBMGPU(8, random_state=0, device="cpu", **params)


def test_halving_gives_the_better_more_epochs():
    rates = [1e-5, 1e-4, 0.1]
    search = HalvingGridSearchCV(
        rbm(),
        {"learning_rate": rates},
        resource="n_iter",
        min_resources=2,
        max_resources=6,
        factor=3,
        cv=2,
        random_state=0,
    ).fit(X)
    assert search.n_resources_ == [2, 6]
    assert search.n_candidates_ == [3, 1]
    assert search.best_params_["learning_rate"] == 0.1
    assert search.best_estimator_.n_iter_ == 6
    assert list(search.cv_results_["n_resources"]) == [2, 2, 2, 6]


def test_optuna_prunes_by_partial_fit():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    n_passes = {}

    def objective(trial):
        model = rbm(learning_rate=trial.suggest_float("rate", 1e-6, 0.5, log=True))
        for step in range(4):
            score = model.partial_fit(TRAIN).score(VALID)
            n_passes[trial.number] = model.n_iter_
            trial.report(score, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return score

    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1)
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", pruner=pruner, sampler=sampler)
    for rate in (0.05, 0.1, 1e-6, 1e-5):
        study.enqueue_trial({"rate": rate})
    study.optimize(objective, n_trials=4)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    assert n_passes == {0: 4, 1: 4, 2: 2, 3: 2}
    assert study.best_params["rate"] == 0.1


@pytest.fixture
def mlflow(tmp_path):
    """MLflow with a store of its own, in which each test finds its runs alone."""
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    name = mlflow.create_experiment("skgen", str(tmp_path / "artifacts"))
    mlflow.set_experiment(experiment_id=name)
    yield mlflow
    mlflow.sklearn.autolog(disable=True)
    mlflow.set_tracking_uri(before)


ANY = "ignore::Warning"  # of MLflow itself


@pytest.mark.filterwarnings(ANY)
def test_mlflow_logs_a_pipeline_by_itself(mlflow):
    mlflow.sklearn.autolog(log_models=False, log_datasets=False, silent=True)
    with mlflow.start_run() as run:
        model = make_pipeline(MinMaxScaler(), rbm(n_iter=2)).fit(X)
    data = mlflow.get_run(run.info.run_id).data
    assert data.params["bernoullirbmgpu__n_iter"] == "2"
    assert data.tags["estimator_name"] == "Pipeline"
    assert data.metrics.get("training_score", model.score(X)) == model.score(X)


@pytest.mark.filterwarnings(ANY)
def test_mlflow_logs_a_search_by_itself(mlflow):
    mlflow.sklearn.autolog(log_models=False, log_datasets=False, silent=True)
    grid = {"learning_rate": [1e-5, 0.1]}
    with mlflow.start_run() as run:
        search = GridSearchCV(rbm(n_iter=2), grid, cv=2).fit(X)
    data = mlflow.get_run(run.info.run_id).data
    assert data.params["best_learning_rate"] == "0.1"
    assert data.metrics["best_cv_score"] == pytest.approx(search.best_score_)
    children = mlflow.search_runs(
        filter_string=f"tags.mlflow.parentRunId = '{run.info.run_id}'",
        output_format="list",
    )
    assert sorted(c.data.params["learning_rate"] for c in children) == ["0.1", "1e-05"]


@pytest.mark.filterwarnings(ANY)
@pytest.mark.parametrize("kind", ["rbm", "dbn"])
def test_the_logger_of_skorch_writes_to_mlflow(mlflow, kind):
    with mlflow.start_run() as run:
        if kind == "rbm":
            model = rbm(n_iter=2, callbacks=[MlflowLogger()])
        else:
            model = DeepBeliefNetwork(
                (5, 4), n_iter=2, device="cpu", callbacks=[MlflowLogger()]
            )
        model.fit(X)
    client = mlflow.tracking.MlflowClient()
    logged = client.get_metric_history(run.info.run_id, "train_loss")
    expected = model.history_[:, "train_loss"]
    np.testing.assert_allclose([metric.value for metric in logged], expected)
    assert [metric.step for metric in logged] == list(range(1, len(expected) + 1))
    names = [file.path for file in client.list_artifacts(run.info.run_id)]
    assert {"params.pth", "optimizer.pth", "criterion.pth", "history.json"} <= {*names}


@pytest.mark.filterwarnings(ANY)
@pytest.mark.parametrize("kind", ["rbm", "dbn"])
def test_the_logger_of_skorch_writes_for_tensorboard(tmp_path, kind):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    board = TensorBoard(SummaryWriter(tmp_path))
    if kind == "rbm":
        model = rbm(n_iter=2, callbacks=[board]).fit(X)
    else:
        model = DeepBeliefNetwork((5, 4), n_iter=2, device="cpu", callbacks=[board])
        model.fit(X)
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("Loss/train_loss")
    found = sorted((event.step, event.value) for event in events)
    expected = enumerate(model.history_[:, "train_loss"], 1)
    np.testing.assert_allclose(found, list(expected), rtol=1e-6)
