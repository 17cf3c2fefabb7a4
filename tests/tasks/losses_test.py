"""Targets and losses against loops written from the papers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.tasks.losses import loss_weights, patch_errors, patch_statistics


def patch_loss(*args, **options):
    """The weighted sum of the errors, and the sum of the weights."""
    errors, weights = patch_errors(*args, **options)
    return (errors * weights).sum(), weights.sum()


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


@pytest.mark.parametrize("kind", ["l2", "l1"])
@pytest.mark.parametrize("norm_pix", [False, True])
def test_unknown_numbers_count_nowhere(arrays, kind, norm_pix):
    prediction, target, is_masked = arrays
    is_known = np.random.default_rng(1).random(target.shape) < 0.5
    is_known[0, :3] = [[False] * 4, [True] * 4, [False, False, True, False]]
    is_masked[0, :3] = True
    total = count = 0.0
    for b in range(3):
        for i in range(5):
            known = [p for p in range(4) if is_known[b, i, p]]
            if not is_masked[b, i] or not known:
                continue
            wanted = [float(target[b, i, p]) for p in known]
            if norm_pix:
                mean = sum(wanted) / len(wanted)
                squares = sum((x - mean) ** 2 for x in wanted)
                variance = squares / (len(wanted) - 1) if len(wanted) > 1 else 0
                wanted = [(x - mean) / np.sqrt(variance + 1e-6) for x in wanted]
            errors = [float(prediction[b, i, p]) - x for p, x in zip(known, wanted)]
            errors = [e * e if kind == "l2" else abs(e) for e in errors]
            total += sum(errors) / len(errors)
            count += 1
    assert 0 < count < is_masked.sum()
    is_known, weights = jnp.asarray(is_known), jnp.asarray(is_masked * 1.0)

    def loss(prediction, target):
        if norm_pix:
            mean, scale = patch_statistics(target, is_known)
            target = (target - mean) / scale
        return patch_loss(prediction, target, weights, kind=kind, is_known=is_known)

    for filling in (0, 1e6):  # what stands where there is no number does not matter
        filled = jnp.where(is_known, target, filling)
        loss_sum, weight_sum = loss(jnp.asarray(prediction), filled)
        np.testing.assert_allclose(loss_sum, total, rtol=1e-4)
        assert weight_sum == count
    gradient = jax.grad(lambda p: loss(p, filled)[0])(jnp.asarray(prediction))
    assert not gradient[~is_known].any()
    assert np.isfinite(gradient).all()
