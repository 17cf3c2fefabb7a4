"""Targets and losses against loops written from the papers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.tasks.losses import loss_weights, patch_loss, patch_statistics


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    prediction, target = rng.normal(size=(2, 3, 5, 4)).astype(np.float32)
    return prediction, target, rng.random((3, 5)) < 0.6


def test_statistics_use_the_unbiased_variance(arrays):
    _, patches, _ = arrays
    mean, scale = patch_statistics(jnp.asarray(patches))
    for b in range(3):
        for i in range(5):
            patch = patches[b, i].astype(np.float64)
            np.testing.assert_allclose(mean[b, i, 0], patch.sum() / 4, rtol=1e-5, atol=1e-6)
            variance = ((patch - patch.mean()) ** 2).sum() / 3
            np.testing.assert_allclose(scale[b, i, 0], np.sqrt(variance + 1e-6), rtol=1e-5)


def test_statistics_of_a_constant_patch_are_finite():
    mean, scale = patch_statistics(jnp.full((1, 1, 9), 0.3))
    assert float(scale[0, 0, 0]) == pytest.approx(1e-3, rel=1e-3)
    assert float(mean[0, 0, 0]) == pytest.approx(0.3)


def test_statistics_of_single_numbers_are_refused():
    with pytest.raises(ValueError, match="at least 2 numbers in a patch"):
        patch_statistics(jnp.zeros((1, 4, 1)))


@pytest.mark.parametrize(("kind", "error"), [("l2", np.square), ("l1", np.abs)])
def test_loss_equals_the_loss_over_the_hidden_subset(arrays, kind, error):
    prediction, target, is_masked = arrays
    total, count = patch_loss(*map(jnp.asarray, (prediction, target, is_masked * 1.0)), kind=kind)
    subset = error(prediction[is_masked] - target[is_masked])
    np.testing.assert_allclose(total / count, subset.mean(), rtol=1e-5)
    assert count == is_masked.sum()


def test_visible_patches_get_no_gradient(arrays):
    prediction, target, is_masked = map(jnp.asarray, arrays)
    gradient = jax.grad(lambda p: patch_loss(p, target, is_masked * 1.0)[0])(prediction)
    assert not gradient[~is_masked].any()
    assert gradient[is_masked].any()


def test_padding_examples_weigh_nothing(arrays):
    is_masked = jnp.asarray(arrays[2])
    is_valid = jnp.array([True, False, True])
    for on in ("masked", "all"):
        weights = loss_weights(is_masked, is_valid, on)
        assert not weights[1].any()
        assert weights[0].sum() == (is_masked[0].sum() if on == "masked" else 5)


def test_unknown_choices_are_refused(arrays):
    with pytest.raises(ValueError, match=r"unknown loss\.kind 'l3'"):
        patch_loss(jnp.zeros((1, 1, 2)), jnp.zeros((1, 1, 2)), jnp.ones((1, 1)), kind="l3")
    with pytest.raises(ValueError, match=r"unknown loss\.on 'visible'"):
        loss_weights(jnp.zeros((1, 1), bool), None, "visible")
