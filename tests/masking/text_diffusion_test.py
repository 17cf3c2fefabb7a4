"""Masked diffusion: the law of the ratio, and a loss whose expectation is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking
from maskjax.masking import text

B, L = 4000, 8
KEYS = jax.random.split(jax.random.key(0), B)
INDEX = jnp.arange(B)


@jax.jit
def _draw_flags(ratio):
    rule = masking.make_rule("token_probabilities")
    return masking.draw_chosen(rule, KEYS, (L,), 0, probabilities=ratio)


def _draw(ratio):
    return np.asarray(_draw_flags(ratio))


def test_ratio_is_uniform_from_eps_to_1():
    ratio = np.asarray(text.diffusion_ratio(KEYS, eps=0.2))
    counts = np.histogram(ratio, bins=np.linspace(0.2, 1, 11))[0]
    assert counts.sum() == B  # none outside
    assert ((counts - B / 10) ** 2 / (B / 10)).sum() < 27.9  # 9 degrees, p = .001


def test_low_discrepancy_puts_one_ratio_in_each_part():
    eps = 0.01
    ratio = np.asarray(text.diffusion_ratio(KEYS, eps=eps, index=INDEX, batch_size=B), np.float64)
    t = (ratio - eps) / (1 - eps) * B
    np.testing.assert_allclose(t, np.arange(B) + 0.5, atol=0.51)
    assert abs((t % 1).mean() - 0.5) < 0.05  # anywhere within its part
    # MDLM's formula with the uniforms of the plain draw.
    plain = (np.asarray(text.diffusion_ratio(KEYS, eps=eps), np.float64) - eps) / (1 - eps)
    np.testing.assert_allclose(t / B, (plain / B + np.arange(B) / B) % 1, atol=1e-6)


def test_ratios_do_not_change_with_the_number_of_devices():
    whole = text.diffusion_ratio(KEYS[:6], index=INDEX[:6], batch_size=6)
    for rows in (slice(0, 3), slice(3, 6)):
        part = text.diffusion_ratio(KEYS[rows], index=INDEX[rows], batch_size=6)
        np.testing.assert_array_equal(part, whole[rows])


@pytest.mark.parametrize("is_stratified", [False, True])
def test_expected_weighted_loss_is_the_mean_loss_of_all_positions(is_stratified):
    places = {"index": INDEX, "batch_size": B} if is_stratified else {}
    ratio = text.diffusion_ratio(KEYS, **places)
    is_masked = _draw(ratio)
    loss_weights, weight_sum = text.diffusion_weights(jnp.asarray(is_masked), ratio)
    assert weight_sum == B * L
    assert (loss_weights[~is_masked] == 0).all()
    np.testing.assert_allclose(loss_weights * ratio[:, None], is_masked, rtol=1e-6)
    losses = np.arange(1, L + 1)  # any that do not depend on what is hidden
    estimate = (np.asarray(loss_weights, np.float64) * losses).sum() / weight_sum
    # Given p the weight has variance 1/p - 1, which is ln(1/eps)/(1 - eps) - 1 = 5.9 on average.
    error = np.sqrt(5.9 * (losses**2).sum() / B) / L
    assert abs(estimate - losses.mean()) < 4.5 * error


def test_hidden_share_of_each_example_is_its_ratio():
    ratio = np.repeat(np.array([0.1, 0.5, 0.9], np.float32), [1000, 1000, 2000])
    share = _draw(jnp.asarray(ratio)).mean(axis=1)
    for p in (0.1, 0.5, 0.9):
        mean = share[ratio == np.float32(p)].mean()
        assert abs(mean - p) < 4.5 * np.sqrt(p * (1 - p) / (1000 * L))


def test_ratio_does_not_follow_the_scores_drawn_from_the_same_keys():
    ratio = np.asarray(text.diffusion_ratio(KEYS))
    first = np.asarray(jax.vmap(jax.random.uniform)(KEYS))
    assert abs(np.corrcoef(ratio, first)[0, 1]) < 4.5 / np.sqrt(B)
    is_masked = _draw(jnp.full(B, 0.5)).mean(axis=1)
    assert abs(np.corrcoef(ratio, is_masked)[0, 1]) < 4.5 / np.sqrt(B)


def test_padding_and_prompts_have_no_weight_and_are_not_counted():
    is_masked = jnp.array([[True, True, False], [True, False, True]])
    is_candidate = jnp.array([[True, False, True], [True, True, False]])
    ratio = jnp.array([0.5, 0.25])
    loss_weights, weight_sum = text.diffusion_weights(is_masked, ratio, is_candidate=is_candidate)
    assert loss_weights.tolist() == [[2, 0, 0], [4, 0, 0]]
    assert weight_sum == 4


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("ratio", "candidate", "message"),
    [
        ((2,), (1, 3), r"is_candidate of shape \(1, 3\) for is_masked of shape \(2, 3\)"),
        ((2,), (3,), r"is_candidate of shape \(3,\)"),
        ((2, 1), (2, 3), r"ratio of shape \(2, 1\) for examples of shape \(2,\)"),
        ((1,), (2, 3), r"ratio of shape \(1,\)"),
    ],
)
def test_shapes_that_would_broadcast_are_refused(ratio, candidate, message):
    with pytest.raises(ValueError, match=message):
        text.diffusion_weights(
            jnp.ones((2, 3), bool), jnp.ones(ratio), is_candidate=jnp.ones(candidate, bool)
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": 0.0}, r"eps 0\.0 must lie strictly between 0 and 1"),
        ({"eps": 1.0}, r"eps 1\.0 must lie strictly between 0 and 1"),
        ({"batch_size": 4}, "index None, batch_size 4: give both or neither"),
        ({"index": jnp.arange(2)}, "batch_size None: give both or neither"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        text.diffusion_ratio(KEYS[:2], **options)


@pytest.mark.parametrize(("dtype", "length"), [(jnp.float16, 65_520), (jnp.bfloat16, 4101)])
def test_weights_of_ratios_in_few_bits_are_summed_exactly(dtype, length):
    ratio = jnp.array([0.25], dtype)
    loss_weights, weight_sum = text.diffusion_weights(jnp.ones((1, length), bool), ratio)
    assert weight_sum == length
    assert loss_weights.dtype == weight_sum.dtype == jnp.float32
    assert (loss_weights == 4).all()


@pytest.mark.usefixtures("unchecked")
def test_flags_numbers_and_lists():
    is_masked = [[True, False]]
    assert text.diffusion_weights(is_masked, [0.5]).loss_weights.tolist() == [[2, 0]]
    with pytest.raises(ValueError, match="is_masked holds int32: flags are boolean"):
        text.diffusion_weights(jnp.array([[1, 0]]), jnp.array([0.5]))
    with pytest.raises(ValueError, match="is_candidate holds float32: flags are boolean"):
        text.diffusion_weights(is_masked, [0.5], is_candidate=jnp.array([[0.0, -1e9]]))
    score = lambda probabilities: text.token_probabilities(  # noqa: E731
        KEYS[0], (3,), 0, probabilities=probabilities
    )
    np.testing.assert_array_equal(score(0.5), score(jnp.array([0.5, 0.5, 0.5])))
    np.testing.assert_array_equal(score([0.5, 0.1, 0]), score(jnp.array([0.5, 0.1, 0])))
    with pytest.raises(ValueError, match=r"for 3 positions of grid .*give one number, or one per"):
        score([0.5, 0.1])
    with pytest.raises(ValueError, match=r"probabilities 15.0 must be from 0 to 1"):
        score(15.0)
    assert text.diffusion_ratio(KEYS[:2], index=[0, 1], batch_size=2).shape == (2,)
    with pytest.raises(ValueError, match="one key for the examples; give one per example"):
        text.diffusion_ratio(KEYS[0])
