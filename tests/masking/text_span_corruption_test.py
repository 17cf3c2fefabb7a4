"""T5's span corruption against a slow loop, its figure, its lengths, and back."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax import masking
from maskjax.masking import text

L, SENTINELS = 12, 3  # fewer than a text can have spans
IDS = {"first_sentinel_id": 99, "num_sentinels": SENTINELS}


def _corrupt_slowly(tokens, is_masked, is_valid, eos=(1,)):
    """Inputs and targets as lists, from the definition."""
    real = [(t, m) for t, m, v in zip(tokens, is_masked, is_valid) if v]
    inputs, targets, sentinel = [], [], 99
    for hidden, run in itertools.groupby(real, key=lambda pair: bool(pair[1])):
        span = [token for token, _ in run]
        if hidden and sentinel > 99 - SENTINELS:
            inputs += [sentinel]
            targets += [sentinel, *span]
            sentinel -= 1
        else:
            inputs += span
    return [*inputs, *eos], [*targets, *eos]


def _fit(ids, length):
    """What a row of this length holds: the last token gives way to EOS."""
    return [*ids[: length - 1], ids[-1]] if len(ids) > length else ids + [0] * (length - len(ids))


# To compile them whole takes less time than each of their operations alone.
_STATIC = ("first_sentinel_id", "num_sentinels", "eos_id", "pad_id")
_corrupt = jax.jit(
    text.span_corruption, static_argnames=(*_STATIC, "inputs_length", "targets_length")
)
_restore = jax.jit(text.restore_spans, static_argnames=(*_STATIC, "length"))


@functools.cache
def _functions(inputs_length, targets_length):
    lengths = {"inputs_length": inputs_length, "targets_length": targets_length}
    corrupt = jax.jit(
        lambda tokens, is_masked, is_valid: text.span_corruption(
            tokens, is_masked, is_valid=is_valid, **lengths, **IDS
        )
    )
    restore = jax.jit(functools.partial(text.restore_spans, length=L, **IDS))
    return corrupt, restore


flags = st.lists(st.booleans(), min_size=L, max_size=L)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(flags, st.integers(0, L), st.sampled_from([(L + 1, 2 * L + 1), (6, 5), (1, 1)]))
def test_every_mask_is_corrupted_as_defined_and_restored(is_masked, num_real, lengths):
    tokens, is_valid = np.arange(10, 10 + L), np.arange(L) < num_real
    corrupt, restore = _functions(*lengths)
    corrupted = corrupt(tokens[None], jnp.array([is_masked]), is_valid[None])
    inputs, targets = _corrupt_slowly(tokens.tolist(), is_masked, is_valid)
    assert corrupted.inputs[0].tolist() == _fit(inputs, lengths[0])
    assert corrupted.targets[0].tolist() == _fit(targets, lengths[1])
    assert corrupted.inputs_lengths.tolist() == [len(inputs)]
    assert corrupted.targets_lengths.tolist() == [len(targets)]
    if len(inputs) <= lengths[0] and len(targets) <= lengths[1]:
        restored, restored_lengths = restore(corrupted.inputs, corrupted.targets)
        assert restored[0].tolist() == [*tokens[:num_real], *[0] * (L - num_real)]
        assert restored_lengths.tolist() == [num_real]


def test_the_figure_of_the_paper():
    # "Thank you <X> me to your party <Y> week ." and "<X> for inviting <Y> last", figure 2.
    words = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week", "."]
    ids = {word: 100 + i for i, word in enumerate(words)} | {"<X>": 32099, "<Y>": 32098, "</s>": 1}
    tokens = jnp.array([[ids[word] for word in words]])
    is_masked = jnp.array([[word in ("for", "inviting", "last") for word in words]])
    corrupted = _corrupt(
        tokens, is_masked, inputs_length=11, targets_length=6, first_sentinel_id=32099
    )
    expected = "Thank you <X> me to your party <Y> week . </s>"
    assert corrupted.inputs[0].tolist() == [ids[word] for word in expected.split()]
    expected = "<X> for inviting <Y> last </s>"
    assert corrupted.targets[0].tolist() == [ids[word] for word in expected.split()]


def test_without_eos_rows_end_in_padding_alone():
    is_masked = [0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    tokens, lengths = np.arange(10, 10 + L), {"inputs_length": 12, "targets_length": 9}
    corrupted = _corrupt(
        jnp.asarray(tokens)[None], jnp.array([is_masked], bool), eos_id=None, **lengths, **IDS
    )
    inputs, targets = _corrupt_slowly(tokens.tolist(), is_masked, [True] * L, eos=())
    assert corrupted.inputs[0].tolist() == [*inputs, 0]
    assert corrupted.targets[0].tolist() == [*targets, 0, 0]
    restored, _ = _restore(corrupted.inputs, corrupted.targets, length=L, eos_id=None, **IDS)
    assert restored[0].tolist() == tokens.tolist()


@pytest.mark.parametrize(
    ("inputs", "targets", "expected"),
    [
        # A sentinel that the targets lack gives nothing.
        ([11, 99, 12, 98, 1], [98, 21, 22, 1], [11, 12, 21, 22]),
        # Tokens of a sentinel that the inputs lack, or of none, are left out.
        ([11, 99, 12, 1], [30, 99, 21, 98, 31, 1], [11, 21, 12]),
        # Any order of the answers; nothing after EOS; nothing at all.
        ([99, 11, 98, 1, 40], [98, 22, 99, 21, 1, 41], [21, 11, 22]),
        ([1], [99, 21, 1], []),
        # An answer given twice is put in twice; one sentinel twice is answered once.
        ([99, 11, 99, 1], [99, 21, 98, 22, 99, 23, 1], [21, 23, 11]),
    ],
)
def test_predicted_targets_need_not_fit(inputs, targets, expected):
    pad = lambda ids: jnp.array([ids + [0] * (8 - len(ids))])  # noqa: E731
    _, restore = _functions(L + 1, 2 * L + 1)
    restored, lengths = restore(pad(inputs), pad(targets))
    assert restored[0].tolist() == expected + [0] * (L - len(expected))
    assert lengths.tolist() == [len(expected)]


def test_a_text_that_is_restored_into_too_few_slots_is_cut_and_its_length_tells():
    inputs, targets = jnp.array([[11, 99, 14, 1]]), jnp.array([[99, 12, 13, 1]])
    restored, lengths = _restore(inputs, targets, length=2, **IDS)
    assert (restored.tolist(), lengths.tolist()) == ([[11, 12]], [4])


# (raw tokens, inputs, targets) for T5's ratio .15 and mean 3; 568 is in many a T5 configuration.
@pytest.mark.parametrize(("raw", "inputs", "targets"), [(568, 512, 114), (141, 128, 29)])
def test_lengths_are_those_of_t5(raw, inputs, targets):
    assert text.span_corruption_lengths(raw, 0.15, 3.0) == (inputs, targets)
    assert text.span_corruption_lengths(raw + 1, 0.15, 3.0)[0] > inputs
    assert text.span_corruption_lengths(raw, has_eos=False) == (inputs - 1, targets - 1)


@pytest.mark.parametrize("ratio", [0.01, 0.15, 0.5, 0.87])
@pytest.mark.parametrize("mean", [1, 2.5, 3.0, 20])
def test_no_shorter_row_needs_more_than_the_static_lengths(ratio, mean):
    needed = []
    for length in range(1, 60):
        hidden = min(max(round(length * ratio), 1), length - 1)
        spans = min(max(1, round(hidden / mean)), hidden, length - hidden)
        needed.append((length - hidden + spans + 1, hidden + spans + 1))
        assert text.span_corruption_lengths(length, ratio, mean) == tuple(np.max(needed, axis=0))


def test_t5_spans_in_rows_of_all_lengths_are_never_cut_and_come_back():
    ratio, mean = 0.4, 1.5
    inputs_length, targets_length = text.span_corruption_lengths(
        L, ratio, mean, num_sentinels=SENTINELS
    )
    corrupt, restore = _functions(inputs_length, targets_length)
    lengths = jnp.arange(L + 1)
    is_valid = np.arange(L) < np.arange(L + 1)[:, None]
    tokens = np.where(is_valid, np.arange(10, 10 + L), 0)
    keys = jax.random.split(jax.random.key(0), L + 1)
    counts = text.t5_num_masked(lengths, ratio, max_length=L)
    rule = masking.make_rule("t5_spans", mean_span_length=mean)
    is_masked = masking.draw_counts(rule, keys, (L,), counts, is_candidate=is_valid)
    corrupted = corrupt(tokens, is_masked, is_valid)
    assert corrupted.inputs_lengths.max() == inputs_length
    assert corrupted.targets_lengths.max() == targets_length
    restored, restored_lengths = restore(corrupted.inputs, corrupted.targets)
    np.testing.assert_array_equal(restored, tokens)
    np.testing.assert_array_equal(restored_lengths, lengths)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs_length": 0}, "inputs_length 0 must be at least 1"),
        ({"first_sentinel_id": 1}, "3 sentinels from id 1 down: .* none below id 0"),
        ({"num_sentinels": 0}, "0 sentinels from id 99 down: give at least 1"),
        ({"eos_id": 98}, r"eos_id 98 is one of the sentinels 97 ... 99"),
        ({"pad_id": 97}, r"pad_id 97 is one of the sentinels 97 ... 99"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    options = {"inputs_length": 9, "targets_length": 9, **IDS, **options}
    tokens = jnp.array([[10, 11]])
    with pytest.raises(ValueError, match=message):
        _corrupt(tokens, tokens > 10, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "length 0 must be at least 1"),
        ((100, 1.0), r"mask ratio 1\.0 must lie strictly between 0 and 1"),
        ((100, 0.15, 0.5), r"mean_span_length 0\.5 must be at least 1"),
        ((1000, 0.5, 2), "250 spans need a sentinel each, but num_sentinels is 100"),
    ],
)
def test_lengths_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        text.span_corruption_lengths(*arguments)


def test_restoring_into_nothing_is_refused():
    with pytest.raises(ValueError, match="length 0 must be at least 1"):
        text.restore_spans(jnp.array([[1]]), jnp.array([[1]]), length=0, **IDS)


def test_no_texts_are_corrupted_to_none_and_restored_to_none():
    lengths = {"inputs_length": 9, "targets_length": 7}
    corrupted = text.span_corruption(
        jnp.zeros((0, L), int), jnp.zeros((0, L), bool), **lengths, **IDS
    )
    assert [x.shape for x in corrupted] == [(0, 9), (0, 7), (0,), (0,)]
    restored = text.restore_spans(corrupted.inputs, corrupted.targets, length=5, **IDS)
    assert [x.shape for x in restored] == [(0, 5), (0,)]


ARGUMENTS = {"tokens": [[5, 6, 7]], "is_masked": [[False, True, True]], "inputs_length": 3}


@pytest.mark.usefixtures("unchecked")
def test_lists_are_texts():
    corrupted = text.span_corruption(**ARGUMENTS, targets_length=4, **IDS)
    assert corrupted.inputs.tolist() == [[5, 99, 1]]
    assert corrupted.targets.tolist() == [[99, 6, 7, 1]]
    restored = text.restore_spans([[5, 99, 1]], [[99, 6, 7, 1]], length=3, **IDS)
    assert restored.tokens.tolist() == [[5, 6, 7]]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"is_masked": jnp.array([[0, 1, 1]])}, "is_masked holds int32: flags are boolean"),
        ({"is_valid": np.array([[1, 1, 0]])}, "is_valid holds int32: flags are boolean"),
        (
            {"is_valid": [True, True, False]},
            r"is_valid of shape \(3,\) for tokens of shape \(1, 3\)",
        ),
        ({"tokens": [[5.0, 6.0, 7.0]]}, "tokens holds float32: give whole numbers"),
        ({"tokens": [5, 6, 7]}, r"tokens of shape \(3,\): give a batch"),
        ({"inputs_length": 2.5}, "inputs_length .*2.5: give an int"),
        ({"first_sentinel_id": None}, "first_sentinel_id .*None: give an int"),
    ],
)
def test_other_than_tokens_and_flags_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        text.span_corruption(**ARGUMENTS | {"targets_length": 4, **IDS} | change)
