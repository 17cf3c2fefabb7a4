"""Token frequencies against counts by hand and the closed form of the weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking
from maskjax.masking.adaptive import token_frequencies

VOCAB = 5


@jax.jit
def _update(state, ids, is_counted):
    counts = token_frequencies.statistics(ids, is_counted, num_entries=VOCAB)
    return token_frequencies.apply(state, counts, decay=0.5)


def test_counts_are_those_of_a_loop_with_old_ones_decayed():
    random, expected = np.random.RandomState(0), np.zeros(VOCAB)
    state = token_frequencies.init(VOCAB)
    for _ in range(4):
        ids = random.randint(-1, VOCAB + 1, (3, 7))  # -1 and N are no entries
        is_counted = random.rand(3, 7) < 0.7
        state = _update(state, jnp.asarray(ids), jnp.asarray(is_counted))
        expected *= 0.5
        for entry, flag in zip(ids.ravel(), is_counted.ravel()):
            if flag and 0 <= entry < VOCAB:
                expected[entry] += 1
        np.testing.assert_allclose(state.counts, expected, rtol=1e-6)


def test_devices_with_different_rows_agree_with_the_whole_batch():
    ids = jnp.asarray(np.random.RandomState(1).randint(0, VOCAB, (4, 1, 6)))
    is_counted = jnp.arange(6)[None, None] < jnp.array([0, 2, 5, 6])[:, None, None]

    def on_device(ids, is_counted):
        counts = token_frequencies.statistics(ids, is_counted, num_entries=VOCAB)
        return token_frequencies.apply(
            token_frequencies.init(VOCAB), jax.lax.psum(counts, "data")
        ).counts

    spread = jax.vmap(on_device, axis_name="data")(ids, is_counted)
    expected = np.bincount(np.asarray(ids)[np.asarray(is_counted)], minlength=VOCAB)
    np.testing.assert_array_equal(spread, np.tile(expected, (4, 1)))


@pytest.mark.parametrize("exponent", [0, 0.5, 1, -1])
def test_weights_are_powers_of_the_smoothed_frequency(exponent):
    counts, ids = np.array([0.0, 1.0, 7.0, 100.0, 3.0]), np.array([[0, 3, 3], [4, 2, 1]])
    state = token_frequencies.TokenCounts(jnp.asarray(counts, jnp.float32))
    logs = token_frequencies.log_weights(state, jnp.asarray(ids), exponent=exponent, smoothing=2)
    expected = ((counts + 2) / (counts + 2).mean()) ** -float(exponent)
    np.testing.assert_allclose(np.exp(logs), expected[ids], rtol=1e-5)


@pytest.mark.parametrize("exponent", [0, 0.5, 1, 40])
def test_probabilities_add_up_to_the_rate_over_the_candidates(exponent):
    state = token_frequencies.TokenCounts(jnp.array([0.0, 99.0, 3.0, 24.0, 8.0]))
    ids = jnp.array([[1, 1, 2, 3, 4, 0], [1, 3, 3, 1, 0, 0], [0, 1, 2, 3, 4, 0]])
    is_candidate = jnp.array([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]], bool)
    output = np.asarray(
        token_frequencies.probabilities(
            state, ids, rate=0.2, exponent=exponent, is_candidate=is_candidate
        )
    )
    weights = np.array([1.0, 100.0, 4.0, 25.0, 9.0]) ** -float(exponent)
    weights = np.where(is_candidate, weights[np.asarray(ids)], 0)
    num_real = np.asarray(is_candidate).sum(axis=1, keepdims=True)
    total = weights.sum(axis=1, keepdims=True)
    expected = np.minimum(1, 0.2 * num_real * weights / np.where(total > 0, total, 1))
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-7)
    if exponent < 40:
        np.testing.assert_allclose(output.sum(axis=1), [1.0, 0.8, 0.0], rtol=1e-5)


@pytest.mark.usefixtures("unchecked")
def test_candidates_of_another_shape_and_a_known_rate_out_of_range_are_refused():
    state, ids = token_frequencies.TokenCounts(jnp.ones(5)), jnp.zeros((2, 6), jnp.int32)
    wrong = jnp.ones((2, 1), bool)
    with pytest.raises(ValueError, match=r"is_candidate of shape \(2, 1\) for weights"):
        token_frequencies.probabilities(state, ids, rate=0.2, is_candidate=wrong)
    with pytest.raises(ValueError, match=r"mask rate 1\.5 must lie strictly between 0 and 1"):
        token_frequencies.probabilities(state, ids, rate=jnp.float32(1.5))


def test_rare_tokens_are_hidden_more_often_at_an_exact_count():
    # Frequencies 16 and 4: at exponent .5 the rare one is twice as likely.
    rows = 4000
    state, ids = token_frequencies.TokenCounts(jnp.array([15.0, 3.0])), jnp.array([0, 0, 1, 0])
    rule = masking.make_rule("weighted", log_weights=token_frequencies.log_weights(state, ids))
    draw = jax.jit(lambda keys: masking.draw(rule, keys, (4,), 1).is_masked)
    is_masked = np.asarray(draw(jax.random.split(jax.random.key(0), rows)))
    assert (is_masked.sum(axis=1) == 1).all()
    expected = np.array([0.2, 0.2, 0.4, 0.2])
    error = np.sqrt(expected * (1 - expected) / rows)
    assert (abs(is_masked.mean(axis=0) - expected) < 4.5 * error).all()


def test_arguments_out_of_range_are_refused():
    state = token_frequencies.init(2)
    with pytest.raises(ValueError, match="0 entries"):
        token_frequencies.init(0)
    with pytest.raises(ValueError, match="smoothing 0 must be above 0"):
        token_frequencies.log_weights(state, jnp.array([0]), smoothing=0)
    with pytest.raises(ValueError, match="exponent nan must be finite"):
        token_frequencies.log_weights(state, jnp.array([0]), exponent=float("nan"))
    with pytest.raises(ValueError, match=r"decay 1\.5 must be from 0 to 1"):
        token_frequencies.apply(state, token_frequencies.CountStatistics(jnp.ones(2)), decay=1.5)


def test_counts_of_a_corpus_in_few_bits_have_a_finite_mean():
    counts = jnp.array([40_000, 60_000], jnp.float16)  # their sum is no number of float16
    state = token_frequencies.TokenCounts(counts)
    logs = token_frequencies.log_weights(state, jnp.array([0, 1]), exponent=1)
    np.testing.assert_allclose(logs, np.log(50_001 / np.array([40_001, 60_001])), rtol=1e-3)
