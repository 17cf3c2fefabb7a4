"""Masked diffusion: its bound against closed forms, and texts that are written step by step."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from maskjax.data.text.tokenizer import Specials
from maskjax.evaluation.metrics import numbers
from maskjax.models.text import model_of, named
from maskjax.models.tokens import MaskedTokens
from maskjax.tasks.diffusion_lm import DiffusedText, make_diffusion_masks
from maskjax.tasks.task import Context
from maskjax.tasks.unmask import How, Writer

MASK, LEAST, NUM_IDS, LENGTH = 4, 5, 8, 4  # ids below LEAST are special
ROWS = 64


class Equals(MaskedTokens):
    """Knows all texts of one kind: a token, any of those that are not special, again and again."""

    def apply(self, variables, ids, segment_ids, places, *given, **options):
        is_known = ids >= LEAST
        token = jnp.where(is_known, ids, 0).max(1)[:, None, None]
        ids_of = jnp.arange(NUM_IDS)[None, None]
        is_right = jnp.where(is_known.any(1)[:, None, None], ids_of == token, ids_of >= LEAST)
        return jnp.broadcast_to(jnp.where(is_right, 0.0, -1e9), (*places.shape, NUM_IDS))


class Uniform(MaskedTokens):
    """Knows nothing."""

    def apply(self, variables, ids, segment_ids, places, *given, **options):
        return jnp.zeros((*places.shape, NUM_IDS))


def made(kind, **mask):
    own = {"spread": "even", "eps": 1e-3, "eval_draws": LENGTH} | mask
    config = ConfigDict({"mask": own, "batch_size": ROWS, "total_steps": 9})
    specials = Specials(mask=MASK)
    names = types.SimpleNamespace(
        vocab_size=NUM_IDS, specials=specials, special_ids=tuple(range(LEAST))
    )
    processor = types.SimpleNamespace(tokenizer=names, max_length=LENGTH)
    masks = make_diffusion_masks(config, types.SimpleNamespace(processor=processor))
    encoder = model_of(named("bert", "tiny", NUM_IDS, LENGTH)).encoder
    return DiffusedText(kind(encoder, NUM_IDS), masks)


def rows_of(num_rows=ROWS):
    """Texts of one token each, of which every second has a special one in front."""
    tokens = np.tile(np.arange(num_rows)[:, None] % 3 + LEAST, LENGTH).astype(np.int32)
    is_special = (np.arange(num_rows)[:, None] % 2 == 0) & (np.arange(LENGTH) == 0)
    batch = {
        "tokens": jnp.asarray(np.where(is_special, 2, tokens)),
        "is_special": jnp.asarray(is_special),
        "segment_ids": jnp.ones((num_rows, LENGTH), jnp.int32),
    }
    return batch | {"positions": jnp.tile(jnp.arange(LENGTH), (num_rows, 1))}


def context_of(num_rows=ROWS, seed=0, *, train=True, index=True):
    keys = jax.random.split(jax.random.key(seed), num_rows)
    place = jnp.arange(num_rows) if index else None
    return Context(keys, jnp.int32(0), train=train, index=place)


def test_the_bound_of_a_uniform_model_is_the_logarithm_of_the_vocabulary():
    """Whatever is hidden: n of n tokens, weighted by n / l each, take log V."""
    task = made(Uniform, eval_draws=3)
    sums = jax.jit(lambda: task.loss({}, rows_of(), context_of(train=False)))()
    np.testing.assert_allclose(sums.loss / sums.weight, np.log(NUM_IDS), rtol=1e-6)
    assert numbers(sums.metrics)["perplexity"] == pytest.approx(NUM_IDS, rel=1e-5)


def test_the_bound_of_a_model_that_knows_all_is_the_entropy():
    """A text takes log 3 and no more, for its first token tells all others.

    The expected loss of a row where l of n are hidden is 0 but for l = n, and there n log 3; of n
    draws that are spread evenly one has l = n.
    """
    task = made(Equals)
    odd = jax.tree.map(lambda x: x[1::2], rows_of())  # four tokens each
    sums = jax.jit(lambda: task.loss({}, odd, context_of(ROWS // 2, train=False)))()
    np.testing.assert_allclose(sums.loss / sums.weight, np.log(3) / LENGTH, rtol=1e-6)


@pytest.mark.parametrize("spread", ["even", "independent"])
def test_training_has_the_same_bound_in_expectation(spread):
    """The integral of t^n n log 3 / t over t from 0 to 1 is log 3."""
    task = made(Equals, spread=spread)
    odd = jax.tree.map(lambda x: jnp.tile(x[1:2], (ROWS, *[1] * (x.ndim - 1))), rows_of())

    @jax.jit
    def loss(seed):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), seed), ROWS)
        sums = task.loss({}, odd, Context(keys, jnp.int32(0), index=jnp.arange(ROWS)))
        return sums.loss / sums.weight

    found = jax.lax.map(loss, jnp.arange(200))
    error = found.std() / 200**0.5
    assert abs(found.mean() - np.log(3) / LENGTH) < 4 * error < 0.03


def test_special_tokens_stay_and_shares_are_spread_over_the_batch():
    task, batch = made(Uniform), rows_of()
    question = task.masks.question(batch, context_of())
    is_special = np.asarray(batch["is_special"])
    assert not np.asarray(question.is_masked)[is_special].any()
    assert (np.asarray(question.ids)[np.asarray(question.is_masked)] == MASK).all()
    shares = np.where(question.is_masked, 1 / np.maximum(question.weights, 1e-9), np.nan)
    for row, share in enumerate(np.asarray(shares)):
        known = share[np.isfinite(share)]
        assert (np.floor((known - 1e-3) / (1 - 1e-3) * ROWS) == row).all()
    hidden = np.asarray(question.is_masked).mean(1)
    assert hidden[: ROWS // 4].mean() < 0.25 < 0.6 < hidden[-ROWS // 4 :].mean()
    for draw in range(LENGTH):
        judged = task.masks.question(batch, context_of(train=False), draw)
        assert not np.asarray(judged.is_masked)[is_special].any()
        lengths = LENGTH - is_special.sum(1)
        counts = np.asarray(judged.is_masked).sum(1)
        assert (counts >= np.floor(lengths * draw / LENGTH) + 1).all()
        assert (counts <= np.minimum(np.floor(lengths * (draw + 1) / LENGTH) + 1, lengths)).all()


def written(task, how, is_hole=None, num_rows=ROWS, seed=0):
    writer = Writer(task.model, task.masks.vocabulary)
    is_hole = np.ones((num_rows, LENGTH), bool) if is_hole is None else is_hole
    keys = jax.random.split(jax.random.key(seed), ROWS)[:num_rows]
    return jax.device_get(writer({}, rows_of(num_rows), is_hole, keys, how))


def test_what_is_written_step_by_step_fits_together_and_at_once_does_not():
    task = made(Equals)
    for order in ("confidence", "random"):
        tokens = written(task, How(temperature=1.0, order=order)).tokens
        assert (tokens == tokens[:, :1]).all()
        assert set(tokens[:, 0].tolist()) == {5, 6, 7}
    at_once = written(task, How(temperature=1.0, steps=1)).tokens
    assert (at_once != at_once[:, :1]).any(1).mean() > 0.6  # 1 - 3^-3 is expected


def test_the_same_seed_writes_the_same_whatever_stands_beside():
    task, how = made(Equals), How(temperature=1.0, schedule="cosine")
    tokens = written(task, how).tokens
    np.testing.assert_array_equal(tokens, written(task, how).tokens)
    np.testing.assert_array_equal(tokens[:3], written(task, how, num_rows=3).tokens)
    assert (tokens != written(task, How(temperature=1.0, seed=1)).tokens).any()


def test_only_holes_are_filled_and_guesses_are_those_of_the_step():
    is_hole = np.zeros((2, LENGTH), bool)
    is_hole[0, 1:3] = True
    batch = rows_of(2)
    found = written(made(Equals), How(top_k=2), is_hole, num_rows=2)
    np.testing.assert_array_equal(found.tokens, batch["tokens"])  # the visible tokens tell all
    np.testing.assert_array_equal(found.guesses[0, 1:3, 0], [5, 5])
    np.testing.assert_allclose(found.probabilities[0, 1:3], [[1, 0], [1, 0]], atol=1e-6)
    assert not found.probabilities[~is_hole].any()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"spread": "odd"}, "unknown mask.spread 'odd'"),
        ({"eps": 0.0}, "mask.eps 0.0 must be above 0"),
        ({"eval_draws": 9}, "mask.eval_draws 9 must be from 1 to the 4 tokens"),
    ],
)
def test_masks_that_do_not_fit_name_their_key(mask, message):
    with pytest.raises(ValueError, match=message):
        made(Uniform, **mask)


def test_ways_to_write_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="unknown order 'left'"):
        How(order="left")
    with pytest.raises(ValueError, match="steps -1 must be from 0 to 32768"):
        How(steps=-1)
    with pytest.raises(ValueError, match=r"temperature -1\.0 must be from 0 to 1000"):
        How(temperature=-1.0)
