"""Training of variational autoencoders by the compared implementations."""

import logging
import tempfile
from functools import partial

from _data import data

# Of bits, with the layers D-512-16-512-D, ReLU and Adam.


def skgen_vae(task, **params):
    from skgen import BernoulliVAE

    model = BernoulliVAE(
        16,
        hidden_layer_sizes=(512,),
        batch_size=task["batch"],
        n_iter=task["epochs"],
        device="cpu",
        random_state=0,
        **params,
    )
    return partial(model.fit, data(task)), task["rows"] * model.n_iter


def bare_vae(task):
    from _bare_loops import bare_vae

    sizes = 512, 16, task["batch"], task["epochs"]
    return partial(bare_vae, data(task), *sizes), task["rows"] * task["epochs"]


def pythae_vae(task):
    """Create a model and a trainer of pythae, and train.

    This includes steps that cannot be disabled: a check of the model with one batch, a
    copy of the best model after the epoch, and saving it. No rows are held out, and
    nothing is logged.
    """
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable()
    X = torch.from_numpy(data(task)).reshape(-1, 1, 28, 28)
    dataset = BaseDataset(X, torch.zeros(len(X)))
    config = VAEConfig((1, 28, 28), 16, reconstruction_loss="bce")

    def run():
        with tempfile.TemporaryDirectory() as folder:
            training = BaseTrainerConfig(
                output_dir=folder,
                per_device_train_batch_size=task["batch"],
                num_epochs=task["epochs"],
                learning_rate=1e-3,
                no_cuda=True,
            )
            BaseTrainer(VAE(config), dataset, training_config=training).train()

    return run, task["rows"] * task["epochs"]


# Of digits, with one hidden layer, 16 latent variables and one noise variance.


def skgen_gaussian_vae(task):
    """Count steps instead of rows."""
    from skgen import GaussianVAE

    model = GaussianVAE(
        16,
        hidden_layer_sizes=(task["hidden"],),
        architecture="mlp",
        noise_variance="learned",
        weight_decay=0,
        n_warmup_iter=0,
        learning_rate_schedule="constant",
        batch_size=task["batch"],
        n_iter=task["epochs"],
        device="cpu",
        random_state=0,
    )
    return partial(model.fit, data(task)), n_steps(task)


def bare_gaussian_vae(task):
    from _bare_loops import bare_gaussian_vae

    sizes = task["hidden"], 16, task["batch"], task["epochs"]
    return partial(bare_gaussian_vae, data(task), *sizes), n_steps(task)


def n_steps(task):
    return task["epochs"] * -(-task["rows"] // task["batch"])


VAES = {
    "vae": {
        "skgen": ("skgen", skgen_vae),
        "skgen, bfloat16": ("skgen", partial(skgen_vae, precision="bfloat16")),
        "bare loop": ("torch", bare_vae),
        "pythae": ("pythae", pythae_vae),
    },
    "small vae": {
        "skgen": ("skgen", skgen_gaussian_vae),
        "bare loop": ("torch", bare_gaussian_vae),
    },
}
