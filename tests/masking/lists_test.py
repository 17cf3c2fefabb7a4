"""Lists, NumPy arrays and numbers, where arrays are documented: they mean the same."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking
from maskjax.masking import adaptive, heads, parameters, sequences, text

pytestmark = pytest.mark.usefixtures("unchecked")

KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 2)
RANDOM = masking.make_rule("random")
TOKENS = np.array([[5, 6, 7, 8], [1, 2, 3, 4]], np.int32)
FLAGS = np.array([[True, False, True, False]] * 2)
SCORES = np.array([[0.3, 0.9, 0.1, 0.7], [0.8, 0.2, 0.4, 0.6]], np.float32)
TREE = {"a": {"kernel": np.ones((4, 2), np.float32), "bias": np.zeros(2, np.float32)}}
RUNNING = adaptive.running.RunningLosses(np.arange(9, dtype=np.float32), np.ones(9, np.int32))
PLACES = [[2, 0, 1, 3], [0, 1, 2, 3]]


def _cloze(**options):
    return sequences.cloze(KEY, (4,), 1, **options)


def _corrupt(tokens, is_masked, **options):
    return text.corrupt_tokens(tokens, is_masked, KEYS, mask_token_id=3, vocab_size=9, **options)


def _powers(key, grid, num_masked, *, bases):
    return jnp.arange(4.0) ** bases[0] + bases[1]


# The documented call, and another that means the same.
SAME = {
    "a count for all rows": (
        lambda: masking.cut_counts(SCORES, jnp.array([2, 2])),
        lambda: masking.cut_counts(SCORES.tolist(), 2),
    ),
    "counts of a small dtype": (
        lambda: masking.cut_counts(np.zeros((2, 300)), jnp.array([200, 255])),
        lambda: masking.cut_counts(np.zeros((2, 300)), np.array([200, 255], np.uint8)),
    ),
    "scores": (lambda: masking.cut(SCORES, 2), lambda: masking.cut(SCORES.tolist(), np.int64(2))),
    "a count of jax": (lambda: masking.cut(SCORES, 2), lambda: masking.cut(SCORES, jnp.int32(2))),
    "counts and grid": (
        lambda: masking.draw_counts(RANDOM, KEYS, (2, 2), jnp.array([2, 1])),
        lambda: masking.draw_counts(RANDOM, KEYS, np.array([2, 2]), [2, 1]),
    ),
    "slots": (
        lambda: masking.cut_slots(SCORES, jnp.array([2, 1]), 1),
        lambda: masking.cut_slots(SCORES.tolist(), [2, 1], np.int32(1)),
    ),
    "places": (
        lambda: masking.keep(jnp.array(TOKENS), jnp.array([[2, 0], [1, 3]])),
        lambda: masking.keep(TOKENS.tolist(), [[2, 0], [1, 3]]),
    ),
    "a number to restore": (
        lambda: masking.restore(jnp.array(TOKENS[:, :2]), jnp.array(9), jnp.array(PLACES)),
        lambda: masking.restore(TOKENS[:, :2], 9, PLACES),
    ),
    "a token": (
        lambda: masking.fill_token(jnp.array(TOKENS), jnp.array(FLAGS), jnp.array(9)),
        lambda: masking.fill_token(TOKENS.tolist(), FLAGS.tolist(), 9),
    ),
    "a probability": (
        lambda: masking.token_probabilities(KEY, (4,), 0, probabilities=jnp.full(4, 0.5)),
        lambda: masking.token_probabilities(KEY, (4,), 0, probabilities=0.5),
    ),
    "candidates": (
        lambda: _cloze(is_candidate=jnp.array([True, False, True, True])),
        lambda: _cloze(is_candidate=[True, False, True, True]),
    ),
    "options given to draw": (
        lambda: masking.score(functools.partial(_powers, bases=(2, 1)), KEYS, (4,), 2),
        lambda: masking.score(_powers, KEYS, (4,), 2, bases=(2, 1)),
    ),
    "weights": (
        lambda: masking.magnitude(KEY, (3,), 1, weights=jnp.array([-2.0, 0.5, 1.0])),
        lambda: masking.magnitude(KEY, (3,), 1, weights=[-2.0, 0.5, 1.0]),
    ),
    "lengths": (
        lambda: text.t5_num_masked(jnp.array([0, 2, 10]), 0.15, max_length=10),
        lambda: text.t5_num_masked([0, 2, 10], np.float32(0.15), max_length=10),
    ),
    "ratios": (
        lambda: masking.num_masked_from_traced_ratio(100, jnp.array([0.9, 0.5])),
        lambda: masking.num_masked_from_traced_ratio(100, [0.9, 0.5]),
    ),
    "a ratio of float32": (
        lambda: masking.num_masked_from_ratio(100, 0.9),
        lambda: masking.num_masked_from_ratio(100, np.float32(0.9)),
    ),
    "documents": (
        lambda: jax.random.key_data(text.dynamic_keys(KEY, jnp.array([7, 8]), 3)),
        lambda: jax.random.key_data(text.dynamic_keys(KEY, [7, 8], np.int64(3))),
    ),
    "tokens": (
        lambda: _corrupt(jnp.array(TOKENS), jnp.array(FLAGS), excluded_ids=(0, 1)),
        lambda: _corrupt(TOKENS.tolist(), FLAGS.tolist(), excluded_ids=np.array([0, 1])),
    ),
    "histories": (
        lambda: sequences.append_mask_item(jnp.array(TOKENS), jnp.array(FLAGS), mask_token_id=9),
        lambda: sequences.append_mask_item(TOKENS.tolist(), FLAGS.tolist(), mask_token_id=9),
    ),
    "heads": (
        lambda: heads.cut_heads(jnp.array(SCORES), 3),
        lambda: heads.cut_heads(SCORES.tolist(), np.int64(3)),
    ),
    "ids": (
        lambda: adaptive.running.log_weights(RUNNING, jnp.array(TOKENS)),
        lambda: adaptive.running.log_weights(RUNNING, TOKENS.tolist()),
    ),
    "losses": (
        lambda: adaptive.running.statistics(jnp.array(SCORES), jnp.array(FLAGS)),
        lambda: adaptive.running.statistics(SCORES.tolist(), FLAGS.tolist()),
    ),
    "one expression": (
        lambda: parameters.eligible(TREE, exclude=("bias",), include=("kernel",)),
        lambda: parameters.eligible(TREE, exclude="bias", include="kernel"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_lists_numpy_arrays_and_numbers_work_where_they_are_clear(name):
    documented, other = (call() for call in SAME[name])
    jax.tree.map(np.testing.assert_array_equal, documented, other)
    kinds = [[jnp.asarray(leaf).dtype for leaf in jax.tree.leaves(x)] for x in (documented, other)]
    assert kinds[0] == kinds[1]


def test_words_without_a_number_have_minus_one_in_a_batch():
    rule = lambda key, grid, num_masked, *, word_ids: word_ids * 1.0  # noqa: E731
    scores = masking.score(rule, KEYS, (3,), 1, word_ids=[[None, 0, 1], [0, 0, None]])
    assert scores.tolist() == [[-1, 0, 1], [0, 0, -1]]


def test_words_without_a_number_stay_visible():
    scores = masking.whole_word(KEY, (4,), 2, word_ids=[None, 0, 0, None])
    assert (scores == -jnp.inf).tolist() == [True, False, False, True]
    assert masking.cut_chosen(scores).tolist() == [False, True, True, False]
