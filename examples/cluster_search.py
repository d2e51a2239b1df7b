"""
==================================
A grid search on a cluster of Dask
==================================

The cluster is two processes of this machine here. It needs ``pip install distributed``.
On a real cluster the scheduler and the workers run elsewhere: ``Client("host:8786")``
takes the place of ``LocalCluster``, and the rest stays as it is.
"""

import dask
import joblib
from distributed import Client, LocalCluster
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skgen import BernoulliRBMGPU

# Otherwise Dask drops the copies of data that are there in case a worker is lost.
dask.config.set({"distributed.scheduler.active-memory-manager.start": False})


def main():
    X, y = load_digits(return_X_y=True)
    pipeline = make_pipeline(
        MinMaxScaler(clip=True), BernoulliRBMGPU(n_iter=10, random_state=0)
    )
    grid = {
        "bernoullirbmgpu__n_components": [32, 64],
        "bernoullirbmgpu__learning_rate": [0.05, 0.1],
    }
    # A list, so that each array of indices is one object, which can be sent ahead.
    splits = list(StratifiedKFold(3).split(X, y))
    search = GridSearchCV(pipeline, grid, cv=splits)
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        Client(cluster),
        # To all workers: what one of them alone holds is lost with it.
        joblib.parallel_config("dask", scatter=[X, *sum(splits, ())]),
    ):
        search.fit(X)
    for score, parameters in zip(
        search.cv_results_["mean_test_score"],
        search.cv_results_["params"],
        strict=True,
    ):
        print(f"{score:.2f} nats", parameters)


if __name__ == "__main__":
    main()
