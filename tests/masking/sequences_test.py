"""Histories of items: laws of what is hidden, and plain loops over lists for the rest."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax import masking
from maskjax.masking import sequences

LENGTH, MASK = 12, 99
_chosen = jax.jit(
    lambda keys, is_candidate: masking.draw_chosen(
        masking.make_rule("cloze"), keys, (LENGTH,), 0, is_candidate=is_candidate
    )
)
_examples = jax.jit(
    lambda keys, items, is_valid: sequences.cloze_examples(
        items, is_valid, keys, mask_token_id=MASK, probability=0.4, num_copies=3
    )
)


def _is_valid(lengths, left=False):
    places = np.arange(LENGTH)[None]
    lengths = np.asarray(lengths)[:, None]
    return places >= LENGTH - lengths if left else places < lengths


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("real", [1, 2, 5, 12])
def test_cloze_hides_each_item_at_its_rate_and_at_least_one(real, left):
    rows, rho = 6000, 0.2
    is_valid = _is_valid([real] * rows, left)
    is_masked = np.asarray(_chosen(jax.random.split(jax.random.key(real), rows), is_valid))
    assert is_masked.sum(axis=1).min() == 1
    assert not is_masked[~is_valid].any()
    expected = rho + (1 - rho) ** real / real
    share = is_masked[is_valid].reshape(rows, real).mean(axis=0)
    assert (abs(share - expected) <= 4.5 * math.sqrt(expected * (1 - expected) / rows)).all()
    one = real * rho * (1 - rho) ** (real - 1) + (1 - rho) ** real
    error = math.sqrt(one * (1 - one) / rows)
    assert abs((is_masked.sum(axis=1) == 1).mean() - one) <= 4.5 * error + 1e-12


def test_cloze_hides_nothing_of_an_empty_history():
    is_masked = _chosen(jax.random.split(jax.random.key(0), 3), _is_valid([0] * 3))
    assert not is_masked.any()


@pytest.mark.parametrize(("probability", "expected"), [(0, [0, 1, 1]), (1, [0, 1, 7])])
def test_cloze_at_the_ends_of_its_rate(probability, expected):
    rule = masking.make_rule("cloze", probability=probability)
    keys, is_valid = jax.random.split(jax.random.key(0), 3), jnp.asarray(_is_valid([0, 1, 7]))
    is_masked = masking.draw_chosen(rule, keys, (LENGTH,), 0, is_candidate=is_valid)
    assert is_masked.sum(axis=1).tolist() == expected


_last_and_counts = jax.jit(
    lambda is_valid, count: (
        masking.cut_chosen(
            sequences.mask_last(jax.random.key(0), (LENGTH,), count, is_candidate=is_valid)
        ),
        masking.cut_counts(
            sequences.mask_last(jax.random.key(0), (LENGTH,), count, is_candidate=is_valid), count
        ),
        masking.cut_counts(
            sequences.cloze(jax.random.key(0), (LENGTH,), count, is_candidate=is_valid), count
        ),
    )
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    is_valid=st.lists(st.booleans(), min_size=LENGTH, max_size=LENGTH),
    count=st.integers(0, LENGTH),
)
def test_mask_last_hides_the_last_real_items_wherever_padding_stands(is_valid, count):
    chosen, cut, filled = _last_and_counts(jnp.array(is_valid), jnp.int32(count))
    real = [i for i in range(LENGTH) if is_valid[i]]
    expected = real[len(real) - min(count, len(real)) :]
    assert np.flatnonzero(chosen).tolist() == expected
    assert np.flatnonzero(cut).tolist() == expected
    assert filled.sum() == len(expected)
    assert set(np.flatnonzero(filled)) <= set(real)


def _histories(lengths, left=False):
    is_valid = _is_valid(lengths, left)
    items = np.random.RandomState(0).randint(1, 50, is_valid.shape)
    return np.where(is_valid, items, 0), is_valid


@pytest.mark.parametrize("left", [False, True])
def test_no_hidden_item_is_without_loss_and_no_visible_one_has_any(left):
    # A common bug: flags of the input and weights of the loss come from different draws.
    items, is_valid = _histories([0, 1, 2, 7, 12] * 20, left)
    examples = _examples(jax.random.split(jax.random.key(0), 100), items, is_valid)
    examples = jax.tree.map(np.asarray, examples)
    is_hidden = examples.inputs == MASK
    np.testing.assert_array_equal(is_hidden, examples.is_masked)
    np.testing.assert_array_equal(is_hidden.astype(np.float32), examples.loss_weights)
    np.testing.assert_array_equal(examples.targets, np.tile(items[:, None], (1, 4, 1)))
    np.testing.assert_array_equal(examples.inputs[~is_hidden], examples.targets[~is_hidden])
    assert not is_hidden[np.tile(~is_valid[:, None], (1, 4, 1))].any()
    assert (is_hidden.sum(axis=2) >= is_valid.any(axis=1)[:, None]).all()


def test_one_example_more_hides_the_last_item_alone():
    items, is_valid = _histories([1, 7, 12, 0])
    examples = _examples(jax.random.split(jax.random.key(1), 4), items, is_valid)
    last = np.asarray(examples.is_masked[:, -1])
    assert [np.flatnonzero(row).tolist() for row in last] == [[0], [6], [11], []]


def test_copies_of_a_history_are_hidden_differently_and_as_its_key_says():
    items, is_valid = _histories([12] * 6)
    keys = jax.random.split(jax.random.key(2), 6)
    whole = np.asarray(_examples(keys, items, is_valid).is_masked)
    assert len({tuple(row) for row in whole[:, :3].reshape(18, LENGTH).tolist()}) > 12
    part = _examples(keys[jnp.array([5, 2])], items[[5, 2]], is_valid[[5, 2]]).is_masked
    np.testing.assert_array_equal(part, whole[[5, 2]])


def _windows_loop(history, length, stride):
    """Slices that start `stride` apart from the end on, and one from the start."""
    if len(history) <= length:
        return [history] if history else []
    starts = [*range(len(history) - length, 0, -stride), 0]
    return [history[start : start + length] for start in starts]


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize(("length", "stride"), [(4, 2), (5, 5), (5, 3), (1, 1), (12, 1), (20, 7)])
def test_windows_are_slices_of_the_history_from_its_end(length, stride, left):
    lengths = list(range(LENGTH + 1))
    items, is_valid = _histories(lengths, left)
    windows = sequences.history_windows(jnp.asarray(is_valid), length=length, stride=stride)
    windows = jax.tree.map(np.asarray, windows)
    shown = np.take_along_axis(items[:, None], windows.ids, axis=-1)
    num_windows = 1 + math.ceil(max(LENGTH - length, 0) / stride)
    assert windows.ids.shape == (LENGTH + 1, num_windows, length)
    for row, real in enumerate(lengths):
        expected = _windows_loop(items[row][is_valid[row]].tolist(), length, stride)
        flags = windows.is_valid[row]
        assert [shown[row, i][flags[i]].tolist() for i in range(len(expected))] == expected
        assert not flags[len(expected) :].any()
        assert set(windows.ids[row][flags]) == set(np.flatnonzero(is_valid[row]))
        for i in range(len(expected)):
            assert windows.starts[row, i] == windows.ids[row, i, 0]
            assert flags[i].tolist() == [place < min(length, real) for place in range(length)]


@pytest.mark.parametrize("left", [False, True])
def test_the_test_input_is_the_history_with_a_mask_item_behind_it(left):
    lengths = list(range(left, LENGTH + 1))  # on which side an empty row is padded none can tell
    items, is_valid = _histories(lengths, left)
    output = sequences.append_mask_item(
        jnp.asarray(items), jnp.asarray(is_valid), mask_token_id=MASK
    )
    inputs, valid, is_masked = map(np.asarray, output)
    for row in range(len(lengths)):
        expected = [*items[row][is_valid[row]].tolist(), MASK][-LENGTH:]
        padding = [0] * (LENGTH - len(expected))
        expected_row = padding + expected if left else expected + padding
        assert inputs[row].tolist() == expected_row
        assert valid[row].tolist() == [item != 0 for item in expected_row]
        assert is_masked[row].tolist() == [item == MASK for item in expected_row]
        assert is_masked[row].sum() == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda key, x: sequences.cloze(key, (4,), 1, probability=1.2), "probability 1.2 must be"),
        (lambda key, x: sequences.mask_last(key, (4,), 5), "num_masked 5 must be from 0 to the 4"),
        (
            lambda key, x: sequences.cloze_examples(
                x, x > 0, key[None], mask_token_id=MASK, num_copies=-1
            ),
            "num_copies -1 must be at least 0",
        ),
        (lambda key, x: sequences.history_windows(x > 0, length=0, stride=1), "length 0 must be"),
        (
            lambda key, x: sequences.history_windows(x > 0, length=2, stride=3),
            "stride 3 must be from 1 to the length 2",
        ),
    ],
)
def test_arguments_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jax.random.key(0), jnp.ones((1, 4), jnp.int32))
