import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking

IS_MASKED = jnp.array([[True, False, True], [False, False, True]])


def _x(*rest, dtype=jnp.float32):
    return (jnp.arange(2 * 3 * math.prod(rest)).reshape(2, 3, *rest) + 1).astype(dtype)


@pytest.mark.parametrize("rest", [(), (4,), (2, 3)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_visible_positions_are_untouched_and_shapes_and_dtypes_stay(rest, dtype):
    x = _x(*rest, dtype=dtype)
    keys = jax.random.split(jax.random.key(0), 2)
    for filled in (
        masking.fill_zero(x, IS_MASKED),
        masking.fill_token(x, IS_MASKED, jnp.zeros(rest)),
        masking.fill_noise(x, IS_MASKED, keys),
    ):
        assert filled.shape == x.shape
        assert filled.dtype == x.dtype
        np.testing.assert_array_equal(filled[~IS_MASKED], x[~IS_MASKED])


def test_hidden_positions_become_zero():
    assert not masking.fill_zero(_x(4), IS_MASKED)[IS_MASKED].any()


def test_hidden_positions_become_the_token():
    token = jnp.array([5.0, -6.0])
    filled = masking.fill_token(_x(2), IS_MASKED, token)
    np.testing.assert_array_equal(filled[IS_MASKED], np.tile(token, (3, 1)))


def test_token_gets_the_gradient_of_hidden_positions_and_x_that_of_visible_ones():
    loss = lambda x, token: (masking.fill_token(x, IS_MASKED, token) * _x(2)).sum()  # noqa: E731
    x, token = jax.grad(loss, argnums=(0, 1))(_x(2), jnp.zeros(2))
    np.testing.assert_array_equal(x, np.where(IS_MASKED[..., None], 0, _x(2)))
    np.testing.assert_array_equal(token, np.asarray(_x(2))[np.asarray(IS_MASKED)].sum(axis=0))


def test_hidden_positions_become_gaussian_noise_of_the_given_scale():
    x, is_masked = jnp.full((2, 50, 40), 7.0), jnp.ones((2, 50), bool)
    keys = jax.random.split(jax.random.key(0), 2)
    filled = np.asarray(masking.fill_noise(x, is_masked, keys, scale=3))
    assert abs(filled.mean()) < 4 * 3 / math.sqrt(4000)
    assert abs(filled.std() / 3 - 1) < 4 / math.sqrt(2 * 4000)
    assert abs((abs(filled) < 3).mean() - 0.6827) < 0.03


def test_noise_of_an_example_depends_on_its_key_alone():
    keys = jax.random.split(jax.random.key(0), 2)
    both = masking.fill_noise(_x(4), IS_MASKED, keys)
    second = masking.fill_noise(_x(4)[1:], IS_MASKED[1:], keys[1:])
    np.testing.assert_array_equal(both[1:], second)


def test_noise_does_not_follow_the_scores_drawn_from_the_same_keys():
    keys = jax.random.split(jax.random.key(0), 500)
    scores = masking.score(masking.make_rule("random"), keys, (4,), 2)
    noise = masking.fill_noise(jnp.zeros((500, 4)), jnp.ones((500, 4), bool), keys)
    assert abs(np.corrcoef(np.ravel(scores), np.ravel(noise))[0, 1]) < 4 / math.sqrt(2000)


def test_a_token_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="broadcast"):
        masking.fill_token(_x(2), IS_MASKED, jnp.zeros(3))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(2, 1), (1, 3), (3,), (2, 3, 1)])
def test_flags_that_would_broadcast_are_refused(shape):
    is_masked, keys = jnp.ones(shape, bool), jax.random.split(jax.random.key(0), 2)
    for fill in (
        lambda x: masking.fill_zero(x, is_masked),
        lambda x: masking.fill_token(x, is_masked, jnp.zeros(2)),
        lambda x: masking.fill_noise(x, is_masked, keys),
    ):
        with pytest.raises(ValueError, match=r"for values of shape \(2, 3, 2\): .* \(2, 3\)"):
            fill(_x(2))


@pytest.mark.usefixtures("unchecked")
def test_one_key_for_two_examples_is_refused():
    with pytest.raises(ValueError, match="1 keys for 2 examples"):
        masking.fill_noise(_x(2), IS_MASKED, jax.random.split(jax.random.key(0), 1))


def test_noise_in_bfloat16_is_that_in_float32_rounded():
    x, is_masked = jnp.zeros((1, 40_000)), jnp.ones((1, 40_000), bool)
    keys = jax.random.split(jax.random.key(3), 1)
    noise = np.float32(masking.fill_noise(x.astype(jnp.bfloat16), is_masked, keys))
    np.testing.assert_allclose(noise, masking.fill_noise(x, is_masked, keys), rtol=2**-8)
    # P(|z| > 2.93) by the error function; 2.93 is the middle between two numbers of bfloat16.
    expected = math.erfc(2.9296875 / math.sqrt(2))
    error = math.sqrt(expected / 40_000)
    assert abs((abs(noise) > 2.9296875).mean() - expected) < 4.5 * error


def test_a_gate_lets_its_share_of_each_position_through():
    x, gate = _x(2, 3), jnp.array([[0, 0.25, 1], [0.5, 1, 0.125]])
    expected = np.zeros(x.shape)
    for b in range(2):
        for i in range(3):
            expected[b, i] = x[b, i] * gate[b, i]
    np.testing.assert_array_equal(masking.fill_gate(x, gate), expected)
    values = np.arange(36).reshape(x.shape) / 64  # one a value
    np.testing.assert_array_equal(
        masking.fill_gate(x, jnp.asarray(values, jnp.float32)), np.float32(x) * values
    )
    hard = masking.fill_gate(x, 1 - IS_MASKED.astype(jnp.float32))
    np.testing.assert_array_equal(hard, masking.fill_zero(x, IS_MASKED))
    assert masking.fill_gate(_x(4, dtype=jnp.bfloat16), gate).dtype == jnp.bfloat16
