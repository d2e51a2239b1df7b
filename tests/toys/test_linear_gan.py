"""A family with two players and an optimizer each, in one file below 60 lines."""

from pathlib import Path

import numpy as np
from toys import linear_gan
from toys.linear_gan import LinearGAN

X = np.random.RandomState(0).normal([0.5, -1.0, 0.0], size=(500, 3))


def test_a_family_is_one_short_file():
    assert len(Path(linear_gan.__file__).read_text().splitlines()) < 60


def test_gan_learns_the_mean_of_the_data():
    """Noise of 10 passes of steps of 0.02 moves the mean by about 0.02."""
    gan = LinearGAN(learning_rate=0.02, n_iter=100, random_state=0).fit(X)
    np.testing.assert_allclose(gan.weights_["mean"], X.mean(0), atol=0.1)
    samples = gan.sample(4000, random_state=0)
    np.testing.assert_allclose(samples.mean(0), gan.weights_["mean"], atol=0.08)
    np.testing.assert_allclose(samples.std(0), 1, atol=0.05)


def test_gan_learns_the_mean_of_weighted_data():
    """Most of the weight on rows above the mean, which is 0.5, -1 and 0."""
    weight = np.where(X[:, 0] > 0.5, 0.9, 0.1)
    gan = LinearGAN(learning_rate=0.02, n_iter=100, random_state=0)
    gan.fit(X, sample_weight=weight)
    expected = np.average(X, axis=0, weights=weight)
    assert expected[0] > 1.1
    np.testing.assert_allclose(gan.weights_["mean"], expected, atol=0.1)


def test_gan_has_two_optimizers_and_needs_both():
    gan = LinearGAN(random_state=0).fit(X)
    critic = gan.net_.critic_optimizer_.param_groups[0]["params"]
    generator = gan.net_.generator_optimizer_.param_groups[0]["params"]
    assert [len(critic), len(generator)] == [1, 1]
    assert critic[0] is gan.net_.module_.critic
    assert generator[0] is gan.net_.module_.mean
    critic[0].data.zero_()
    # Without a critic the generator has no direction to go.
    still = LinearGAN(random_state=0)
    still._optimizer_arguments = lambda state: (
        LinearGAN._optimizer_arguments(still, state) | {"critic_optimizer__lr": 0.0}
    )
    assert np.abs(still.fit(X).weights_["mean"]).max() == 0
