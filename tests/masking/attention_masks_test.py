"""Attention masks against their definitions, one (example, head, query, key) at a time."""

import dataclasses
import functools
import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax.masking import attention

B, H, L, EDGES = 3, 2, 7, 3
RANDOM = np.random.RandomState(0)
KEYS = jax.random.split(jax.random.key(3), B)
IS_VALID = np.array([[1, 1, 1, 1, 0, 1, 0], [1] * L, [0] * L], bool)
LENGTHS = np.array([0, 4, L])
SEGMENTS = np.array([[0, 0, 1, 1, 2, -1, -1], [5, 5, 5, 0, 0, 0, 7], [-1] * L])
IS_GLOBAL = np.array([[1, 0, 0, 1, 0, 0, 0], [0] * L, [0, 0, 0, 0, 0, 0, 1]], bool)
SCORES = np.round(RANDOM.randn(B, H, L, L), 1).astype(np.float32)  # some of them equal
SCORES[0, 1, 2, 1:] = -np.inf
FLAGS = RANDOM.rand(B, 1, L, L) < 0.5
HEADS = np.array([[1, 0], [0, 0], [1, 1]], bool)

# What the constructors take, by name: a registered mask needs nothing else to be tested here.
POOL = {
    "key": KEYS, "num_queries": L, "num_keys": L, "num_edges": EDGES, "is_valid": IS_VALID,
    "lengths": LENGTHS, "segment_ids": SEGMENTS, "is_global": IS_GLOBAL, "scores": SCORES,
    "attention_mask": FLAGS, "left": 2, "right": 1, "dilation": 3, "head_masks": HEADS,
    "masks": [attention.causal(), attention.padding(lengths=jnp.asarray(LENGTHS))],
}  # fmt: skip


def _largest(scores):
    """The keys of the EDGES highest scores, the later ones first among equals; never -inf."""
    ranked = sorted(range(len(scores)), key=lambda k: (scores[k], k))[::-1][:EDGES]
    return {k for k in ranked if scores[k] > -np.inf}


@functools.cache
def _noise(b, q):
    return np.asarray(jax.random.uniform(jax.random.fold_in(KEYS[b], q), (L,)))


TRUTH = {
    "causal": lambda b, h, q, k: k <= q,
    "sliding_window": lambda b, h, q, k: q - 2 <= k <= q + 1,
    "dilated": lambda b, h, q, k: abs(q - k) in (0, 3, 6),
    "prefix": lambda b, h, q, k: k <= q or k < LENGTHS[b],
    "padding": lambda b, h, q, k: IS_VALID[b, k] and k < LENGTHS[b],
    "segments": lambda b, h, q, k: SEGMENTS[b, q] == SEGMENTS[b, k] != -1,
    "global_tokens": lambda b, h, q, k: IS_GLOBAL[b, q] or IS_GLOBAL[b, k],
    "random_edges": lambda b, h, q, k: k in _largest(_noise(b, q)),
    "dynamic_edges": lambda b, h, q, k: k in _largest(SCORES[b, h, q]),
    "given": lambda b, h, q, k: FLAGS[b, 0, q, k],
    "per_head": lambda b, h, q, k: k <= q if h == 0 else k < LENGTHS[b],
    "kept_heads": lambda b, h, q, k: HEADS[b, h],
}
every_mask = pytest.mark.parametrize("name", attention.ATTENTION)


def _make(name):
    taken = inspect.signature(attention.ATTENTION[name]).parameters
    options = {option: value for option, value in POOL.items() if option in taken}
    arrays = {k: jnp.asarray(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    return attention.make_attention_mask(name, **arrays)


def _truth(name):
    flags = np.zeros((B, H, L, L), bool)
    for at in np.ndindex(flags.shape):
        flags[at] = TRUTH[name](*at)
    return flags


def _dense(attention_mask):
    return np.broadcast_to(attention_mask.dense(L, L), (B, H, L, L))


def test_every_registered_mask_has_a_definition_here():
    assert set(TRUTH) == set(attention.ATTENTION)


@every_mask
def test_a_mask_follows_its_definition(name):
    flags = _make(name).dense(L, L)
    assert flags.dtype == bool
    assert flags.shape[0] in (1, B)
    assert flags.shape[1] in (1, H)
    assert flags.shape[2:] == (L, L)
    np.testing.assert_array_equal(np.broadcast_to(flags, (B, H, L, L)), _truth(name))


@every_mask
def test_a_tile_is_the_dense_form_at_its_indices(name):
    queries, keys = jnp.array([6, 0, 3]), jnp.array([5, 2, 2, 0])
    tile = np.broadcast_to(_make(name).tile(queries, keys), (B, H, 3, 4))
    np.testing.assert_array_equal(tile, _truth(name)[:, :, np.array(queries)][..., np.array(keys)])


@every_mask
def test_decoding_with_a_cache_sees_the_rows_of_the_dense_form(name):
    attention_mask, offsets = _make(name), jnp.array([2, 5, 0])
    tile = jax.jit(lambda offset: attention_mask.shift(offset).tile(jnp.arange(2), jnp.arange(L)))
    shared = np.broadcast_to(tile(jnp.int32(4)), (B, H, 2, L))
    np.testing.assert_array_equal(shared, _truth(name)[:, :, 4:6])
    rows = np.broadcast_to(tile(offsets), (B, H, 2, L))
    for b, offset in enumerate(offsets.tolist()):
        np.testing.assert_array_equal(rows[b], _truth(name)[b, :, offset : offset + 2])


def test_causal_with_an_offset_is_that_of_the_cache():
    expected = [[1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0, 0]]
    flags = attention.causal(offset=3).dense(2, L)[0, 0]
    np.testing.assert_array_equal(flags.astype(int), expected)


@every_mask
def test_a_mask_passes_through_jit_and_a_second_one_compiles_nothing(name):
    dense = jax.jit(lambda attention_mask: attention_mask.dense(L, L))
    for _ in range(2):
        np.testing.assert_array_equal(
            np.broadcast_to(dense(_make(name)), (B, H, L, L)), _truth(name)
        )
    assert dense._cache_size() == 1


def _combined(lengths, segment_ids, is_global, scores, head_masks):
    """All kinds of arrays, per example, in one mask."""
    near = attention.causal() & attention.segments(segment_ids=segment_ids)
    edges = attention.dynamic_edges(scores=scores, num_edges=EDGES)
    far = attention.global_tokens(is_global=is_global) | ~edges
    alive = attention.kept_heads(head_masks=head_masks) & attention.padding(lengths=lengths)
    return (near | far) & alive


BATCHED = tuple(map(jnp.asarray, (LENGTHS, SEGMENTS, IS_GLOBAL, SCORES, HEADS)))
COMBINED = (
    (_truth("causal") & _truth("segments") | _truth("global_tokens") | ~_truth("dynamic_edges"))
    & _truth("kept_heads")
    & (np.arange(L) < LENGTHS[:, None, None, None])
)


def test_a_combined_mask_is_the_same_made_inside_vmap_or_outside():
    np.testing.assert_array_equal(_dense(_combined(*BATCHED)), COMBINED)
    inside = jax.vmap(lambda *arrays: _combined(*arrays).dense(L, L)[0])
    np.testing.assert_array_equal(inside(*BATCHED), COMBINED)
    outside = jax.vmap(lambda attention_mask: attention_mask.dense(L, L)[0])
    np.testing.assert_array_equal(outside(_combined(*BATCHED)), COMBINED)
    made = jax.vmap(_combined)(*BATCHED)
    np.testing.assert_array_equal(_dense(made), COMBINED)


def test_a_mask_passes_through_pmap_and_scan():
    per_device = jax.tree.map(lambda leaf: leaf[:, None], _combined(*BATCHED))
    flags = jax.pmap(lambda attention_mask: attention_mask.dense(L, L))(per_device)
    np.testing.assert_array_equal(flags[:, 0], COMBINED)

    def body(carry, attention_mask):
        return carry, (carry & attention_mask).dense(L, L)[0]

    _, flags = jax.lax.scan(body, attention.causal(), _combined(*BATCHED))
    np.testing.assert_array_equal(flags, COMBINED & _truth("causal"))


PARTS = ("causal", "padding", "segments", "per_head", "given")
TREES = st.recursive(
    st.sampled_from(PARTS),
    lambda trees: st.one_of(
        st.tuples(st.just("~"), trees), st.tuples(st.sampled_from("&|"), trees, trees)
    ),
    max_leaves=4,
)


def _evaluate(tree, leaf):
    if isinstance(tree, str):
        return leaf(tree)
    if tree[0] == "~":
        return ~_evaluate(tree[1], leaf)
    left, right = (_evaluate(branch, leaf) for branch in tree[1:])
    return left & right if tree[0] == "&" else left | right


def test_flags_without_examples_are_one_for_each_head():
    flags = jnp.asarray(FLAGS[:H, 0])
    dense = attention.given(attention_mask=flags).dense(L, L)
    np.testing.assert_array_equal(dense, flags[None])


@given(TREES)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_masks_combine_as_sets_do(tree):
    np.testing.assert_array_equal(_dense(_evaluate(tree, _make)), _evaluate(tree, _truth))


@given(st.lists(st.integers(0, L), min_size=B, max_size=B), st.integers(0, L), st.integers(0, L))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_padding_is_never_attended_to(lengths, left, right):
    window = attention.sliding_window(left=left, right=right)
    flags = _dense(window & attention.padding(lengths=jnp.array(lengths)))
    for b, q, k in itertools.product(range(B), range(L), range(L)):
        expected = k < lengths[b] and -left <= k - q <= right
        assert (flags[b, :, q, k] == expected).all()


def test_a_window_without_a_limit_on_one_side():
    flags = attention.sliding_window(left=None, right=0).dense(L, L)
    np.testing.assert_array_equal(flags, attention.causal().dense(L, L))
    assert attention.sliding_window(left=None, right=None).dense(2, 3).all()


def test_a_dilated_window_is_the_combination_of_the_two():
    both = attention.dilated(dilation=2) & attention.sliding_window(left=4, right=2)
    assert np.flatnonzero(both.dense(1, 9)[0, 0, 0]).tolist() == [0, 2]
    row = both.tile(jnp.array([5]), jnp.arange(12))[0, 0, 0]
    assert np.flatnonzero(row).tolist() == [1, 3, 5, 7]


def test_segments_of_queries_and_keys_may_differ():
    attention_mask = attention.segments(
        segment_ids=jnp.array([1, 0, -1]), key_segment_ids=jnp.array([0, 1, 1, -1])
    )
    expected = [[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(attention_mask.dense(3, 4)[0, 0].astype(int), expected)


def test_random_edges_are_uniform_and_a_function_of_the_key_and_the_query():
    make = lambda seed, num_queries: attention.random_edges(  # noqa: E731
        key=jax.random.key(seed), num_queries=num_queries, num_keys=8, num_edges=2
    )
    flags = np.asarray(make(0, 600).dense(600, 8)[0, 0])
    assert (flags.sum(axis=1) == 2).all()
    # Each key has probability 1/4, each of the 28 pairs 1/28.
    assert (abs(flags.mean(axis=0) - 1 / 4) < 4 * np.sqrt(3 / 16 / 600)).all()
    pairs = np.unique(flags, axis=0, return_counts=True)[1]
    assert len(pairs) == 28
    assert ((pairs - 600 / 28) ** 2 / (600 / 28)).sum() < 27 + 4 * np.sqrt(2 * 27)
    np.testing.assert_array_equal(make(0, 5).dense(5, 8)[0, 0], flags[:5])
    assert (make(1, 5).dense(5, 8)[0, 0] != flags[:5]).any()


def test_random_edges_to_all_keys():
    every = attention.random_edges(key=KEYS[0], num_queries=2, num_keys=3, num_edges=3)
    assert every.dense(2, 3).all()


def test_a_tile_of_a_long_sequence_needs_no_dense_form():
    length = 1 << 20  # the dense form would take a terabyte
    attention_mask = attention.segments(segment_ids=jnp.arange(length) // 3) & ~attention.padding(
        lengths=jnp.int32(6)
    )
    ids = jnp.array([4, 6, length - 2, length - 1, length])
    expected = [[0] * 5, [0, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 1, 1, 0], [0] * 5]
    expected[2][3] = expected[3][2] = int((length - 1) // 3 == (length - 2) // 3)
    tile = jax.jit(lambda ids: attention_mask.tile(ids, ids))
    np.testing.assert_array_equal(tile(ids)[0, 0].astype(int), expected)


def test_a_mask_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        attention.causal().num_keys = 3


CAUSAL = attention.causal()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: attention.make_attention_mask("causl"),
            r"unknown attention mask 'causl' .did you",
        ),
        (lambda: attention.make_attention_mask("window"), "known: .'causal'"),
        (lambda: attention.make_attention_mask("dilated", dilatoin=2), "did you mean 'dilation'"),
        (lambda: attention.make_attention_mask("dilated"), "mask 'dilated' needs 'dilation'"),
        (lambda: attention.register_attention("causal")(_make), "'causal' is registered already"),
        (lambda: attention.sliding_window(left=-1, right=2), "left -1 must be at least 0"),
        (lambda: attention.sliding_window(left=None, right=-3), "right -3 must be at least 0"),
        (lambda: attention.dilated(dilation=0), "dilation 0 must be at least 1"),
        (lambda: attention.padding(), "padding needs is_valid or lengths"),
        (
            lambda: attention.dynamic_edges(scores=jnp.asarray(SCORES), num_edges=8),
            "num_edges 8 must be from 1 to the 7 keys",
        ),
        (
            lambda: attention.given(attention_mask=jnp.zeros((1, 1, 1, 2, 3), bool)),
            r"shape \(1, 1, 1, 2, 3\): give",
        ),
        (
            lambda: attention.random_edges(key=KEYS[0], num_queries=2, num_keys=5, num_edges=0),
            "num_edges 0 must be at least 1",
        ),
        (lambda: attention.per_head(masks=[]), "at least 1 mask"),
        (
            lambda: attention.per_head(masks=[CAUSAL, _make("kept_heads")]).dense(L, L),
            "mask of head 1 has 2 heads itself",
        ),
        (lambda: _make("segments").dense(L, 9), "mask of 7 keys is used for 9 keys"),
        (lambda: (CAUSAL & _make("segments")).dense(9, L), "mask of 7 queries is used for 9"),
        (
            lambda: _make("segments") | attention.global_tokens(is_global=jnp.zeros(9, bool)),
            r"masks of \[7, 9\] queries cannot be combined",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


ADDED = np.where(FLAGS, 0, -1e9).astype(np.float32)  # as libraries add to the logits


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: attention.given(attention_mask=x), "attention_mask holds {}: flags are boolean"),
        (lambda x: attention.padding(is_valid=x[:, 0, 0]), "is_valid holds {}: flags are boolean"),
        (lambda x: attention.global_tokens(is_global=x[:, 0, 0]), "is_global holds {}: flags are"),
        (lambda x: attention.kept_heads(head_masks=x[0, 0]), "head_masks holds {}: flags are"),
        (
            lambda x: attention.AttentionMask(_first_of, {"x": x}).dense(L, L),
            "_first_of .* {}: ",
        ),
    ],
)
@pytest.mark.parametrize(
    "numbers", [FLAGS.astype(np.int32), jnp.asarray(ADDED)], ids=["0 and 1", "added"]
)
def test_numbers_in_place_of_flags_are_refused(make, message, numbers):
    with pytest.raises(ValueError, match=message.format(numbers.dtype)):
        make(numbers)
    with pytest.raises(ValueError, match=message.format(numbers.dtype)):
        ~jax.eval_shape(make, numbers)


def _first_of(ids, x):
    return x[:, :1]


@pytest.mark.usefixtures("unchecked")
def test_a_mask_of_floats_is_told_where_it_belongs():
    with pytest.raises(ValueError, match=r"added to the logits are `bias` of attend, .* == 1"):
        attention.given(attention_mask=jnp.asarray(ADDED))
    with pytest.raises(ValueError, match=r"weights of heads are for masking\.heads\.scale_heads"):
        attention.kept_heads(head_masks=jnp.array([0.5, 1.0]))


@pytest.mark.usefixtures("unchecked")
@every_mask
def test_lists_and_numpy_arrays_make_the_same_mask(name):
    taken = inspect.signature(attention.ATTENTION[name]).parameters
    options = {option: value for option, value in POOL.items() if option in taken}
    for change in (lambda x: x, np.ndarray.tolist):
        arrays = {k: change(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        dense = _dense(attention.make_attention_mask(name, **arrays))
        np.testing.assert_array_equal(dense, _truth(name))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CAUSAL & jnp.asarray(IS_VALID),
            r"an array of shape \(3, 7\): make it one",
        ),
        (lambda: CAUSAL | IS_VALID, r"with an array of shape \(3, 7\): .*padding\(is_valid=...\)"),
        (lambda: IS_VALID & CAUSAL, r"with an array of shape .*given\(attention_mask=...\)"),
        (lambda: jnp.asarray(IS_VALID) | CAUSAL, r"with an array of shape \(3, 7\)"),
        (lambda: CAUSAL & attention.causal, "with a function: make it one first"),
        (lambda: attention.per_head(masks=[CAUSAL, IS_VALID]), r"with an array of shape"),
        (lambda: attention.per_head(masks=CAUSAL), "but got one that is in no list"),
        (lambda: CAUSAL.tile([0.5], [1]), "query_ids holds float32: give whole numbers"),
        (lambda: CAUSAL.dense(2.0, 2), "num_queries .*2.0: give an int"),
        (lambda: attention.padding(lengths=IS_VALID), "lengths holds bool: give whole numbers"),
        (lambda: attention.padding(is_valid=True), "is_valid is a single value: give one row"),
        (lambda: attention.padding(lengths=[1.5]), "lengths holds float32: give whole numbers"),
        (lambda: attention.prefix(lengths=0.5), "lengths holds float32: give whole numbers"),
        (lambda: attention.causal(offset=0.5), "offset holds float32: give whole numbers"),
        (lambda: attention.segments(segment_ids=IS_VALID), "segment_ids holds bool: give whole"),
        (
            lambda: attention.sliding_window(left=1.5, right=0),
            r"left .*1.5: give an int of at least",
        ),
        (lambda: attention.dilated(dilation=None), r"dilation .*None: give an int of"),
        (
            lambda: attention.dynamic_edges(scores=SCORES, num_edges=0.5),
            r"num_edges .*0.5: give an int",
        ),
        (lambda: attention.dynamic_edges(scores=SCORES[0, 0, 0], num_edges=1), r"scores of shape"),
        (
            lambda: attention.random_edges(
                key=jax.random.PRNGKey(0), num_queries=2, num_keys=5, num_edges=1
            ),
            r"keys are uint32\[2\]: give typed ones",
        ),
    ],
)
def test_raw_arrays_and_wrong_numbers_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


@every_mask
def test_no_examples_are_no_flags(name):
    attention_mask = jax.tree.map(lambda leaf: leaf[:0], _make(name))
    is_shared = name in ("causal", "sliding_window", "dilated")
    for flags in (
        attention_mask.dense(L, L),
        attention_mask.tile(jnp.arange(L), jnp.arange(L)),
        attention_mask.shift(1).tile(jnp.arange(L), jnp.arange(L)),
    ):
        assert flags.shape[0] == is_shared
