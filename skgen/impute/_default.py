"""The default model of an imputer."""

from skgen.vae import GaussianVAE

# Steps of training, rows of a mini-batch, and latent variables, at most.
_N_STEPS, _BATCH_SIZE, _N_COMPONENTS = 1200, 256, 16
# The weight decay for each correlation that a row must determine: a tenth of that of
# GaussianVAE alone.
_DECAY = 3.0


def default_model(n_rows: int, n_features: int) -> GaussianVAE:
    """Return the model of ``estimator=None`` for a table."""
    n_components = min(n_features, _N_COMPONENTS)
    n_batches = -(-n_rows // _BATCH_SIZE)
    decay = _DECAY * n_components * (n_components - 1) / (2 * n_rows)
    return GaussianVAE(
        max(1, n_components),
        hidden_layer_sizes=(64, 64),
        activation="silu",
        n_iter=max(100, -(-_N_STEPS // n_batches)),
        batch_size=_BATCH_SIZE,
        weight_decay=decay,
        n_warmup_iter=0,
    )
