import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax import masking

INF = float("inf")


def _cut(scores, count):
    return masking.cut(jnp.array(scores, jnp.float32), count)


# Literal values of the reference's int(length * (1 - ratio)), Python floats; 91 is no misprint.
COUNTS = [
    (196, 0.75, 147), (196, 0.9, 177), (196, 0.8, 157), (196, 0.6, 118), (100, 0.9, 91),
    (100, 0.7, 70), (10, 0.3, 3), (256, 0.75, 192), (1, 0.75, 1), (1, 0.001, 1), (7, 0.999, 7),
    (3, 0.5, 2), (1568, 0.9, 1412),
]  # fmt: skip


@pytest.mark.parametrize(("length", "ratio", "count"), COUNTS)
def test_count_is_the_references(length, ratio, count):
    assert masking.num_masked_from_ratio(length, ratio) == count
    traced = jax.jit(lambda ratio: masking.num_masked_from_traced_ratio(length, ratio))
    assert int(traced(jnp.float32(ratio))) == count


@pytest.mark.parametrize("length", [1, 2, 7, 49, 64, 100, 196, 333, 1568])
def test_traced_count_agrees_with_python_floats_on_every_short_ratio(length):
    ratios = [i / 1000 for i in range(1, 1000)] + [1e-7, 0.1234567, 0.9999999]
    expected = [masking.num_masked_from_ratio(length, ratio) for ratio in ratios]
    traced = masking.num_masked_from_traced_ratio(length, jnp.array(ratios, jnp.float32))
    np.testing.assert_array_equal(traced, expected)


def test_traced_count_stays_within_the_length():
    ratios = jnp.array([-1.0, 0.0, 1.0, 2.0], jnp.float32)
    assert masking.num_masked_from_traced_ratio(9, ratios).tolist() == [0, 0, 9, 9]


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1, 1.5, 75.0, float("nan")])
def test_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(ValueError, match=rf"mask ratio {ratio} must lie strictly between 0 and 1"):
        masking.num_masked_from_ratio(196, ratio)


@pytest.mark.parametrize("count", [-1, 5])
def test_count_out_of_range_is_refused(count):
    with pytest.raises(ValueError, match=rf"num_masked {count} must be from 0 to the 4 positions"):
        _cut([1, 2, 3, 4], count)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("kind", [np.int64, np.array, jnp.array])
def test_count_out_of_range_is_refused_whatever_kind_of_number_it_is(kind):
    scores = jnp.array([[1.0, 2.0, 3.0, 4.0]])
    with pytest.raises(ValueError, match="num_masked 6 must be from 0 to the 4 positions"):
        masking.cut(scores, kind(6))
    assert masking.cut(scores, kind(3)).ids_keep.tolist() == [[0]]


@pytest.mark.parametrize("grid", [(), (0, 4), (4, -1)])
def test_impossible_grid_is_refused(grid):
    with pytest.raises(ValueError, match="every side must be at least 1"):
        masking.grid_length(grid)


@pytest.mark.parametrize(
    "function", [masking.num_masked_from_ratio, masking.num_masked_from_traced_ratio]
)
def test_length_zero_is_refused(function):
    ratio = 0.5 if function is masking.num_masked_from_ratio else jnp.float32(0.5)
    with pytest.raises(ValueError, match="length 0 must be at least 1"):
        function(0, ratio)


def test_cut_on_a_written_out_example():
    drawn = _cut([[0.5, 0.1, 0.9, 0.3], [4, 3, 2, 1]], 3)
    assert drawn.is_masked.tolist() == [[True, False, True, True], [True, True, True, False]]
    assert drawn.ids_keep.tolist() == [[1], [3]]
    assert drawn.ids_masked.tolist() == [[3, 0, 2], [2, 1, 0]]
    assert drawn.ids_restore.tolist() == [[2, 0, 3, 1], [3, 2, 1, 0]]


def test_among_equal_scores_the_later_position_is_hidden():
    assert _cut([1, 1, 1, 1], 2).ids_masked.tolist() == [2, 3]


def test_cut_of_nothing_and_of_everything():
    nothing, everything = _cut([1, 2, 3], 0), _cut([1, 2, 3], 3)
    assert not nothing.is_masked.any()
    assert everything.is_masked.all()
    assert nothing.ids_keep.tolist() == everything.ids_masked.tolist() == [0, 1, 2]
    assert nothing.ids_masked.shape == everything.ids_keep.shape == (0,)


def test_what_cannot_be_hidden_is_dropped_but_not_flagged_when_the_count_is_too_large():
    drawn = _cut([-INF, 2, -INF, 1], 3)
    assert drawn.is_masked.tolist() == [False, True, False, True]
    assert drawn.ids_masked.tolist() == [2, 3, 1]


rows = st.lists(st.sampled_from([-INF, -1.0, 0.0, 0.5, 2.0]), min_size=8, max_size=8)


# To compile them whole takes less time than each of their operations alone.
_keep, _restore, _cut_counts = map(jax.jit, (masking.keep, masking.restore, masking.cut_counts))
_cut_slots = jax.jit(masking.cut_slots, static_argnums=2)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(rows=st.tuples(rows, rows, rows), counts=st.tuples(*[st.integers(0, 9)] * 3))
def test_cut_counts_hides_each_rows_highest(rows, counts):
    is_masked = _cut_counts(jnp.array(rows, jnp.float32), jnp.array(counts))
    for row, count, hidden in zip(rows, counts, np.asarray(is_masked)):
        allowed = [i for i in range(8) if row[i] > -INF]
        highest = sorted(allowed, key=lambda i: (row[i], i))[max(0, len(allowed) - count) :]
        assert sorted(highest) == np.flatnonzero(hidden).tolist()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(row=rows, counts=st.tuples(st.integers(3, 8), st.integers(3, 8)))
def test_slots_hold_every_visible_position_first(row, counts):
    """A ratio that changes: static slots by the smallest count, is_visible by the row's own."""
    scores = jnp.array([row, row[::-1]], jnp.float32)
    masking_, is_visible = _cut_slots(scores, jnp.array(counts), 3)
    assert masking_.ids_keep.shape == (2, 5)
    for b in range(2):
        in_slots = np.asarray(masking_.ids_keep[b])[np.asarray(is_visible[b])]
        visible = np.flatnonzero(~np.asarray(masking_.is_masked[b]))
        # Beyond the slots lies only what can never be hidden, and only where the count exceeds
        # what can be hidden.
        assert set(in_slots) <= set(visible)
        assert all(scores[b, i] == -INF for i in set(visible.tolist()) - set(in_slots.tolist()))
        if np.isfinite(row).all():
            assert is_visible[b].tolist() == [i < 8 - counts[b] for i in range(5)]


def test_slots_equal_cut_where_the_count_is_the_smallest():
    scores = jax.random.uniform(jax.random.key(0), (2, 8))
    masking_, is_visible = _cut_slots(scores, jnp.array([5, 2]), 5)
    assert is_visible.all()  # a count below the smallest is raised to it
    chex.assert_trees_all_equal(masking_, masking.cut(scores, 5))


def test_restoring_slots_shows_the_encoder_only_what_is_visible():
    x = jnp.arange(16.0).reshape(2, 8) + 1
    scores = jax.random.uniform(jax.random.key(0), (2, 8))
    masking_, is_visible = _cut_slots(scores, jnp.array([3, 6]), 3)
    slots = jnp.where(is_visible, _keep(x, masking_.ids_keep), 0.0)
    back = _restore(slots, jnp.float32(0), masking_.ids_restore)
    np.testing.assert_array_equal(back, np.where(masking_.is_masked, 0, x))


def test_keep_and_restore_carry_any_trailing_axes_and_the_encoders_dtype():
    drawn = _cut([[3, 1, 2], [1, 2, 3]], 2)
    x = jnp.arange(2 * 3 * 2 * 2, dtype=jnp.bfloat16).reshape(2, 3, 2, 2)
    visible = _keep(x, drawn.ids_keep)
    np.testing.assert_array_equal(visible[:, 0], np.stack([x[0, 1], x[1, 0]]))
    back = _restore(visible, jnp.zeros((2, 2), jnp.float32), drawn.ids_restore)
    assert back.dtype == jnp.bfloat16
    np.testing.assert_array_equal(back[0, 1], x[0, 1])
    assert not back[0, 0].any()


def test_restore_places_a_fill_per_dropped_position():
    drawn = _cut([[3, 1, 2]], 2)
    fill = jnp.array([[[20.0], [30.0]]])  # for positions 2 and 0, in the order of ids_masked
    back = _restore(jnp.array([[[1.0]]]), fill, drawn.ids_restore)
    assert back[0, :, 0].tolist() == [30.0, 1.0, 20.0]


def test_hidden_positions_get_no_gradient_through_keep():
    drawn = _cut([[3, 1, 2, 0]], 2)
    gradient = jax.grad(lambda x: _keep(x, drawn.ids_keep).sum())(jnp.ones((1, 4, 1)))
    assert gradient[0, :, 0].tolist() == [0, 1, 0, 1]


def test_gradient_of_restore_reaches_each_source_once():
    drawn = _cut([[3, 1, 2, 0]], 2)
    weights = jnp.array([[10.0, 20.0, 30.0, 40.0]])
    restored = lambda x, token: (_restore(x, token, drawn.ids_restore) * weights).sum()  # noqa: E731
    visible, token = jax.grad(restored, argnums=(0, 1))(jnp.ones((1, 2)), jnp.ones(()))
    assert visible.tolist() == [[40.0, 20.0]]  # ids_keep is [3, 1]
    assert token.item() == 40.0  # positions 0 and 2


def test_restore_refuses_more_kept_than_there_are_positions():
    with pytest.raises(ValueError, match="3 kept positions exceed the 2 of ids_restore"):
        masking.restore(jnp.ones((1, 3)), jnp.zeros(()), jnp.array([[0, 1]]))


def test_example_keys_depend_on_step_and_global_index_alone():
    root = jax.random.key(0)
    data = lambda step, index: jax.random.key_data(masking.example_keys(root, step, index))  # noqa: E731
    whole = data(3, jnp.arange(8))
    halves = jnp.concatenate([data(3, jnp.arange(4)), data(jnp.int32(3), jnp.arange(4, 8))])
    np.testing.assert_array_equal(whole, halves)
    assert len(np.unique(np.concatenate([whole, data(4, jnp.arange(8))]), axis=0)) == 16


@pytest.mark.parametrize("count", [1, 2])
def test_nan_is_hidden_first_by_every_cut(count):
    scores = jnp.array([0.5, jnp.nan, -jnp.inf, 1.5])
    expected = [count > 2, True, False, count > 1]
    assert masking.cut(scores, count).is_masked.tolist() == expected
    assert masking.cut_counts(scores, jnp.int32(count)).tolist() == expected
    slots = masking.cut_slots(scores, jnp.int32(count), count)
    assert slots.masking.is_masked.tolist() == expected
    assert masking.cut_chosen(scores).tolist() == [False, True, False, True]


@pytest.mark.parametrize(("ids", "wrong"), [([[0, 5]], 5), ([[-1, 0]], -1), ([[2, 1]], 2)])
def test_positions_that_are_known_and_not_there_are_refused(ids, wrong):
    with pytest.raises(ValueError, match=f"ids_keep holds {wrong}: .* positions 0 to 1"):
        masking.keep(jnp.array([[3, 4]]), jnp.array(ids))
    with pytest.raises(ValueError, match=f"ids_restore holds {wrong}: .* positions 0 to 1"):
        masking.restore(jnp.array([[3, 4]]), jnp.array(0), jnp.array(ids))
