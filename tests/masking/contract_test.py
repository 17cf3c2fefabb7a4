"""What every registered masking rule promises, on each kind of input that it is registered for."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax import masking

# Every registered rule by itself; blocks small enough for these grids; other ways to use some.
CASES = {name: (name, {}) for name in masking.RULES} | {
    "block": ("block", {"min_area": 2}),
    "inverse_block": ("inverse_block", {"min_area": 2}),
    "attention_guided_with_hints": ("attention_guided", {"show_ratio": 0.2, "show_max": 0.5}),
    "frequency_band": ("frequency_band", {"band": "random"}),
    "frequency_band_low": ("frequency_band", {"band": "low", "radius": 2}),
    "frequency_band_high": ("frequency_band", {"band": "high", "radius": 2}),
    "wav2vec_spans": ("wav2vec_spans", {"span_length": 2}),
    "sliding_from_key": ("sliding", {"step": None, "axis": 0}),
    "sliding_block_from_key": ("sliding_block", {"step": None, "block": 2}),
    "tube_of_blocks": ("tube", {"space_rule": masking.make_rule("block", min_area=2)}),
}
# Grids of 30 positions share what is compiled for a number of positions.
GRIDS = {
    "image": [(1,), (30,), (1, 5), (6, 5), (3, 5, 2)],
    "text": [(1,), (30,)],
    "audio": [(1,), (30,), (6, 5)],
    "sequence": [(1,), (30,)],
    "weights": [(30,), (6, 5)],
    "frequency": [(11,), (6, 5), (3, 5, 2)],
}
# Rules that take grids of some ranks alone.
RANKS = {"tube": (2, 3)}
# Rules whose scores do not depend on the key, given what they need from outside.
ONE_BAND = {"frequency_band_low", "frequency_band_high"}  # the key decides between ties alone
KEYLESS = {
    "attention_guided", "fisher", "magnitude", "mask_last", "movement", "region", "saliency",
    "steepest", "weight_blocks",
}  # fmt: skip
BATCH = 4


def _grids(name):
    rule = CASES[name][0]
    grids = {grid for kind in masking.RULES[rule].on for grid in GRIDS[kind]}
    return sorted(grid for grid in grids if len(grid) in RANKS.get(rule, (1, 2, 3)))


TABLE = [(name, grid) for name in CASES for grid in _grids(name)]
every_rule = pytest.mark.parametrize(("name", "grid"), TABLE, ids=str)
every_rule_with_room = pytest.mark.parametrize(
    ("name", "grid"),
    [(name, grid) for name, grid in TABLE if min(grid) > 1 and name not in ONE_BAND],
    ids=str,
)


def _rule(name):
    rule, options = CASES[name]
    return masking.make_rule(rule, **options)


def _keys(seed=0):
    return masking.example_keys(jax.random.key(seed), 0, jnp.arange(BATCH))


def _argument(name, grid, seed):
    """What a rule may need from outside, by its name in all rules; a row an example."""
    rng, length = np.random.RandomState(seed), masking.grid_length(grid)
    if name == "step":
        return jnp.int32(3 + seed)
    if name == "word_ids":  # words of several tokens, of one token each, one word that is the text
        most = (length, 10**6, 1)[seed % 3]
        return jnp.asarray(np.sort(rng.randint(0, most, (BATCH, length))), jnp.int32)
    if name in ("weights", "gradients", "movement"):
        return jnp.asarray(rng.randn(BATCH, *grid), jnp.float32)
    if name in ("log_weights", "losses", "attention"):
        return jnp.asarray(rng.randn(BATCH, length), jnp.float32)
    if name in ("probabilities", "coverage"):
        return jnp.asarray(rng.rand(BATCH, length), jnp.float32)
    raise ValueError(f"a rule needs {name!r}: say here what to try it with")


def _runtime(name, grid, seed=0):
    rule = _rule(name)
    needed = masking.missing_options(rule, {}) + ["step"] * masking.needs_step(rule)
    return {argument: _argument(argument, grid, seed) for argument in needed}


def _count(grid):
    return (2 * masking.grid_length(grid) + 2) // 3


def _is_valid(grid):
    return np.arange(masking.grid_length(grid)) % 3 != 0


@functools.cache
def _scoring(name, grid):
    return jax.jit(
        lambda keys, counts, runtime: masking.score(_rule(name), keys, grid, counts, **runtime)
    )


@functools.partial(jax.jit, static_argnames="count")
def _cut(scores, counts, count):
    """All that the tests look at; one compilation serves all rules on grids of one length."""
    drawn = masking.cut(scores, count)
    x = jnp.arange(scores.size * 2.0).reshape(*scores.shape, 2)
    visible, token = masking.keep(x, drawn.ids_keep), jnp.array([-1.0, -2.0])
    return {
        "x": x,
        "drawn": drawn,
        "restored": masking.restore(visible, token, drawn.ids_restore),
        "slots": masking.cut_slots(scores, counts, 0),
    }


@functools.cache
def _draw(name, grid, seed=0, counts=None):
    counts = jnp.array(counts or (_count(grid),) * BATCH)
    scores = _scoring(name, grid)(_keys(seed), counts, _runtime(name, grid))
    output = _cut(scores, counts, _count(grid))
    return jax.tree.map(np.asarray, output)


@every_rule
def test_count_is_exact_and_ids_agree_with_flags(name, grid):
    drawn, count = _draw(name, grid)["drawn"], _count(grid)
    assert drawn.ids_keep.shape == (BATCH, masking.grid_length(grid) - count)
    assert drawn.ids_masked.shape == (BATCH, count)
    for row in range(BATCH):
        assert drawn.is_masked[row].sum() == count
        assert sorted(drawn.ids_masked[row]) == np.flatnonzero(drawn.is_masked[row]).tolist()
        assert sorted(drawn.ids_keep[row]) == np.flatnonzero(~drawn.is_masked[row]).tolist()


@every_rule
def test_restore_undoes_keep(name, grid):
    output = _draw(name, grid)
    is_masked = output["drawn"].is_masked[..., None]
    np.testing.assert_array_equal(
        output["restored"], np.where(is_masked, [-1.0, -2.0], output["x"])
    )


@every_rule
def test_same_keys_give_the_same_masks_without_compiling_again(name, grid):
    first = _draw(name, grid)
    second = _draw.__wrapped__(name, grid)
    _draw(name, grid, seed=1)
    chex.assert_trees_all_equal(first, second)
    assert _scoring(name, grid)._cache_size() == 1


@every_rule_with_room
def test_rows_differ_unless_nothing_is_random(name, grid):
    first_row = {
        key: jnp.broadcast_to(value[:1], value.shape) if value.ndim else value
        for key, value in _runtime(name, grid).items()
    }
    counts = jnp.full(BATCH, _count(grid))
    scores = _scoring(name, grid)(_keys(), counts, first_row)
    is_masked = _cut(scores, counts, _count(grid))["drawn"].is_masked
    rows = set(map(tuple, is_masked.tolist()))
    assert (len(rows) == 1) == (masking.needs_step(_rule(name)) or name in KEYLESS)


def test_rows_of_one_band_of_frequencies_differ_where_equal_heights_are_cut():
    """20 of 30: the last three of four frequencies of one height."""
    rows = [_draw("frequency_band_low", (6, 5), seed)["drawn"].is_masked for seed in range(4)]
    rows = np.concatenate(rows)
    assert len(set(map(tuple, rows.tolist()))) > 1
    assert (rows != rows[0]).any(axis=0).sum() <= 4


@every_rule
def test_every_traced_count_is_exact(name, grid):
    length = masking.grid_length(grid)
    for first in range(0, length + 1, BATCH):
        counts = tuple(min(first + row, length) for row in range(BATCH))
        drawn, is_visible = _draw(name, grid, counts=counts)["slots"]
        np.testing.assert_array_equal(drawn.is_masked.sum(axis=1), counts)
        np.testing.assert_array_equal(is_visible.sum(axis=1), length - np.array(counts))


@functools.cache
def _scoring_candidates(name, grid):
    """One compilation serves all tests of a rule with candidates on a grid."""

    def score(keys, counts, is_candidate, runtime):
        runtime = runtime | {"is_candidate": is_candidate}
        return masking.score(_rule(name), keys, grid, counts, **runtime)

    return jax.jit(score)


_cut_counts = jax.jit(masking.cut_counts)


def _hidden(name, grid, keys, counts, is_candidate, runtime):
    """What `masking.draw_counts` hides, by programs that many calls share."""
    counts, is_candidate = jnp.asarray(counts), jnp.asarray(is_candidate)
    scores = _scoring_candidates(name, grid)(keys, counts, is_candidate, runtime)
    return np.asarray(_cut_counts(scores, counts))


def _plain_grid(name):
    """A grid that shows what a rule does with candidates: by compiling for it alone."""
    return (6, 5) if (6, 5) in _grids(name) else max(_grids(name))


@pytest.mark.parametrize(
    ("name", "grid"),
    [(name, grid) for name, grid in TABLE if grid in ((1,), _plain_grid(name))],
    ids=str,
)
def test_padding_is_never_masked(name, grid):
    is_valid = np.tile(_is_valid(grid), (BATCH, 1))
    count = _count(grid)
    counts = np.full(BATCH, count)
    is_masked = _hidden(name, grid, _keys(), counts, is_valid, _runtime(name, grid))
    assert not is_masked[~is_valid].any()
    assert (is_masked.sum(axis=1) == min(count, _is_valid(grid).sum())).all()


# Nothing that `_argument` gives keeps a position visible, as a probability of 0 or a word id of -1
# would, so that what may be hidden is what is a candidate.
@pytest.mark.parametrize("name", masking.RULES)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_all_that_is_hidden_is_a_candidate_and_as_many_as_can_be(name, data):
    small = [grid for grid in _grids(name) if grid == (1,)]
    grid = data.draw(st.sampled_from([*small, _plain_grid(name)]), "grid")
    length = masking.grid_length(grid)
    row = st.one_of(st.just(0), st.integers(0, 2**length - 1), st.just(2**length - 1))
    rows = data.draw(st.tuples(*[row] * BATCH), "candidates, a bit each")
    counts = np.array(data.draw(st.tuples(*[st.integers(0, length + 1)] * BATCH), "counts"))
    seed = data.draw(st.integers(0, 2**31 - 1), "seed")
    is_candidate = np.array([[bits >> i & 1 for i in range(length)] for bits in rows], bool)
    runtime = _runtime(name, grid, seed % 99)
    is_masked = _hidden(name, grid, _keys(seed), counts, is_candidate, runtime)
    assert not is_masked[~is_candidate].any()
    expected = np.minimum(counts, is_candidate.sum(axis=1))
    np.testing.assert_array_equal(is_masked.sum(axis=1), expected)


@every_rule
def test_draw_chosen_hides_what_the_rule_chose_or_is_refused(name, grid):
    rule, runtime = _rule(name), _runtime(name, grid)
    if masking.chooses(rule):
        counts = jnp.full(BATCH, _count(grid))
        scores = np.asarray(_scoring(name, grid)(_keys(), counts, runtime))
        assert ((scores == -np.inf) | ((scores >= 0) & (scores < 2))).all()
        if masking.grid_length(grid) > 5:  # a rule may find no room to choose in a tiny grid
            assert (scores >= 1).any()
    else:
        with pytest.raises(ValueError, match="chooses nothing by itself"):
            masking.draw_chosen(rule, _keys(), grid, _count(grid), **runtime)


# Eager calls compile each operation for each shape: one grid is enough, of the highest rank.
on_one_grid = pytest.mark.parametrize(
    ("name", "grid"),
    [(name, max(_grids(name), key=lambda grid: (len(grid), grid))) for name in CASES],
    ids=str,
)


@on_one_grid
def test_jit_and_vmap_and_traced_counts_equal_an_eager_loop_with_static_ones(name, grid):
    drawn = _draw(name, grid)["drawn"]
    runtime = _runtime(name, grid)
    for row, key in enumerate(list(_keys())[:2]):
        values = {k: v[row] if jnp.ndim(v) else v for k, v in runtime.items()}
        scores = _rule(name)(key, grid, _count(grid), **values)
        assert scores.shape == (masking.grid_length(grid),)
        alone = masking.cut(scores, _count(grid))
        for one, all_rows in zip(alone, drawn):
            np.testing.assert_array_equal(one, all_rows[row])


@on_one_grid
def test_a_rule_that_takes_candidates_keeps_the_others_visible_by_itself(name, grid):
    rule, is_valid = _rule(name), _is_valid(grid)
    if "is_candidate" in masking.accepted_options(rule):
        values = {k: v[0] if jnp.ndim(v) else v for k, v in _runtime(name, grid).items()}
        scores = rule(_keys()[0], grid, _count(grid), is_candidate=jnp.asarray(is_valid), **values)
        np.testing.assert_array_equal(np.asarray(scores) == -np.inf, ~is_valid)


@pytest.mark.parametrize("name", CASES)
def test_the_rule_works_where_jax_promotes_no_dtypes(name):
    grid = _grids(name)[-1]
    is_candidate = jnp.ones((BATCH, masking.grid_length(grid)), bool)
    draw = functools.partial(masking.draw_counts, _rule(name), grid=grid, **_runtime(name, grid))
    with jax.numpy_dtype_promotion("strict"):
        counts = jnp.full(BATCH, _count(grid))
        jax.eval_shape(draw, _keys(), num_masked=counts, is_candidate=is_candidate)
