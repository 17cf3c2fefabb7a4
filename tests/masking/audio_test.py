"""Audio rules against NumPy loops over the same uniforms, closed forms and published numbers."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax import masking
from maskjax.masking import audio

LENGTH = 24
_cut_counts = jax.jit(masking.cut_counts)
RULES = {
    "wav2vec_spans": functools.partial(audio.wav2vec_spans, span_length=4),
    "spans_longer_than_rows": functools.partial(audio.wav2vec_spans, span_length=40, min_spans=1),
    "runs": functools.partial(audio.runs, run_length=3),
    "runs_apart": functools.partial(audio.runs, run_length=3, allow_overlap=False),
    "spec_augment": functools.partial(audio.spec_augment, max_time_width=9),
    "time_frequency": audio.time_frequency,
}


@functools.cache
def _scoring(name, grid):
    """One compilation for all budgets, lengths and seeds."""
    rule = RULES[name]

    def scores(keys, counts, lengths):
        is_frame = jnp.arange(grid[0])[None] < lengths[:, None]
        is_candidate = jnp.repeat(is_frame, math.prod(grid[1:]), axis=1)
        return masking.score(rule, keys, grid, counts, is_candidate=is_candidate)

    return jax.jit(scores)


def _scores(name, grid, seeds, counts, lengths):
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    return np.asarray(_scoring(name, grid)(keys, jnp.asarray(counts), jnp.asarray(lengths)))


def _chosen(rule, seed, rows, grid, count=0, **runtime):
    """What a rule chooses by itself, [rows, *grid]."""
    keys = jax.random.split(jax.random.key(seed), rows)
    draw = jax.jit(lambda keys, runtime: masking.draw_chosen(rule, keys, grid, count, **runtime))
    return np.asarray(draw(keys, runtime)).reshape(rows, *grid)


def _uniforms(key, *shapes):
    keys = jax.random.split(key, len(shapes))
    return [np.asarray(jax.random.uniform(k, shape)) for k, shape in zip(keys, shapes)]


def _highest(noise, places, count):
    return sorted(places, key=lambda place: -noise[place])[:count]


def _within(share, expected, num_draws, sigmas=4.5):
    expected = np.asarray(expected)
    error = np.sqrt(np.maximum(expected * (1 - expected), 1e-9) / num_draws)
    np.testing.assert_array_less(abs(share - expected), sigmas * error + 1e-6)


# Spans: wav2vec 2.0, HuBERT and Mockingjay.


@pytest.mark.parametrize(("name", "span_length"), [("wav2vec_spans", 4), ("runs", 3)])
def test_spans_are_the_union_of_distinct_starts(name, span_length):
    lengths = [0, 1, 3, 4, 5, 11, 23, 24] * 2
    counts = [round(share * n) for share, n in zip([0.65] * 8 + [1.0] * 8, lengths)]
    scores = _scores(name, (LENGTH,), range(16), counts, lengths)
    for seed, (count, real) in enumerate(zip(counts, lengths)):
        if name == "runs":
            noise, _ = _uniforms(jax.random.key(seed), (LENGTH,), (LENGTH,))
            num_spans = round(count / span_length)
        else:
            extra, noise, _ = _uniforms(jax.random.key(seed), (), (LENGTH,), (LENGTH,))
            num_spans = int(count / span_length + extra)
        num_spans = min(num_spans, real)
        num_whole = real - span_length + 1
        places = range(num_whole if num_whole > max(num_spans, 1) else real)
        hidden = set()
        for start in _highest(noise, places, num_spans):
            hidden |= {start + i for i in range(span_length) if start + i < real}
        if name == "wav2vec_spans" and len(hidden) == real:
            hidden -= {real - 1}
        assert set(np.flatnonzero(scores[seed] >= 1)) == hidden, (count, real)


def _coverage(length, span_length, budget):
    """P(frame i is covered): starts without replacement among those whose span fits."""
    num_starts = length - span_length + 1
    whole, rest = divmod(budget, span_length)
    chances = {whole: 1 - rest / span_length, whole + 1: rest / span_length}
    covered = []
    for i in range(length):
        around = sum(start <= i < start + span_length for start in range(num_starts))
        missed = sum(
            chance * math.comb(num_starts - around, n) / math.comb(num_starts, n)
            for n, chance in chances.items()
            if chance
        )
        covered.append(1 - missed)
    return np.array(covered)


@pytest.mark.parametrize("real", [24, 17])
def test_spans_cover_each_frame_as_often_as_the_closed_form_says(real):
    budget, rows = round(0.65 * real), 6000
    scores = _scores("wav2vec_spans", (LENGTH,), range(rows), [budget] * rows, [real] * rows)
    expected = _coverage(real, 4, budget)
    _within((scores >= 1).mean(axis=0)[:real], expected, rows)
    assert expected[0] == expected[-1] > 0.1  # the last frame is hidden as often as the first


@pytest.mark.parametrize(
    ("probability", "coverage", "mean_length"),
    # wav2vec 2.0 section 3.1 gives 49% and 14.7 for 15 seconds of speech; HuBERT's rate is .8.
    [(0.65, 0.49, 14.7), (0.8, 1 - 0.92**10, (1 - 0.92**10) / (0.08 * 0.92**10))],
)
def test_coverage_and_span_length_are_those_published(probability, coverage, mean_length):
    length, rows = 749, 100
    count = masking.num_masked_from_ratio(length, probability)
    is_masked = _chosen(masking.make_rule("wav2vec_spans"), 1, rows, (length,), count)
    begins = is_masked & ~np.pad(is_masked, ((0, 0), (1, 0)))[:, :-1]
    assert abs(is_masked.mean() - coverage) < 0.01
    assert abs(is_masked.sum() / begins.sum() - mean_length) < 0.5


def test_each_row_draws_its_own_number_of_spans_and_is_not_trimmed_to_the_batch():
    # A budget of 2.5 spans: half of the rows have 2, whatever the others have.
    rows = 400
    scores = _scores("wav2vec_spans", (LENGTH,), range(rows), [10] * rows, [LENGTH] * rows)
    num_covered = (scores >= 1).sum(axis=1)
    assert num_covered.min() >= 5
    assert {8, 12} <= set(num_covered.tolist())


@pytest.mark.parametrize("hide_all", [False, True])
def test_short_rows_follow_the_papers_law_and_keep_a_frame_unless_told_otherwise(hide_all):
    # 9 frames at p = .65 and l = 10, a budget of 5: half of the rows have a span, which starts at
    # any of the 9 frames; the whole row is hidden where that is the first.
    real, rows = 9, 4000
    rule = masking.make_rule("wav2vec_spans", span_length=10, hide_all=hide_all)
    is_candidate = jnp.tile(jnp.arange(12) < real, (rows, 1))
    is_chosen = _chosen(rule, 6, rows, (12,), 5, is_candidate=is_candidate)
    assert not is_chosen[:, real:].any()
    num_hidden = np.bincount(is_chosen.sum(axis=1), minlength=real + 1) / rows
    expected = np.array([0.5, *[0.5 / 9] * 9])
    if not hide_all:
        expected[8:] = 2 * expected[8], 0
    _within(num_hidden, expected, rows)
    frames = 0.5 * np.arange(1, 10) / 9
    frames[8] -= 0 if hide_all else 0.5 / 9
    _within(is_chosen.mean(axis=0)[:real], frames, rows)


@pytest.mark.parametrize(("budget", "real"), [(1, 1), (2, 2), (4, 4), (12, 12)])
def test_no_row_loses_its_last_frame_however_large_the_budget(budget, real):
    for name in ("wav2vec_spans", "spans_longer_than_rows"):
        scores = _scores(name, (LENGTH,), range(64), [budget] * 64, [real] * 64)
        assert ((scores >= 1).sum(axis=1) < real).all()


@pytest.mark.parametrize("name", ["wav2vec_spans", "runs", "runs_apart"])
def test_spans_of_a_spectrogram_hide_whole_frames(name):
    grid, rows = (12, 5), 16
    lengths = np.arange(rows) % 13
    scores = _scores(name, grid, range(rows), 3 * lengths, lengths).reshape(rows, *grid)
    is_chosen = scores >= 1
    assert (is_chosen == is_chosen[:, :, :1]).all()
    assert is_chosen.any()
    assert not is_chosen[np.arange(12)[None] >= lengths[:, None]].any()


@pytest.mark.parametrize("name", ["wav2vec_spans", "runs", "runs_apart"])
@pytest.mark.parametrize("grid", [(LENGTH,), (12, 5)])
def test_a_budget_above_the_real_positions_counts_as_their_number(name, grid):
    rows, width = 3 * (grid[0] + 1), math.prod(grid[1:])
    lengths = np.tile(np.arange(grid[0] + 1), 3)
    one_for_all = _scores(name, grid, range(rows), [math.prod(grid)] * rows, lengths)
    own = _scores(name, grid, range(rows), width * lengths, lengths)
    np.testing.assert_array_equal(one_for_all, own)


def test_a_static_budget_for_a_padded_batch_does_not_hide_short_rows_more():
    # 10 real frames, l = 4: a budget of 10 covers 7.3 of them, one of 24 that is not cut all 10.
    rows, real = 2000, 10
    is_candidate = jnp.tile(jnp.arange(LENGTH) < real, (rows, 1))
    is_chosen = _chosen(
        RULES["wav2vec_spans"], 5, rows, (LENGTH,), LENGTH, is_candidate=is_candidate
    )
    expected = _coverage(real, 4, real)
    assert 7.2 < expected.sum() < 7.4
    _within(is_chosen.mean(axis=0)[:real], expected, rows)


def test_runs_apart_hide_whole_runs_of_an_exact_number_of_frames():
    lengths, rows = np.arange(25).repeat(4), 100
    counts = np.tile([0, 2, 7, 24], 25).clip(max=lengths)
    is_chosen = _scores("runs_apart", (LENGTH,), range(rows), counts, lengths) >= 1
    expected = [3 * min(round(count / 3), real // 3) for count, real in zip(counts, lengths)]
    np.testing.assert_array_equal(is_chosen.sum(axis=1), expected)
    for row in np.pad(is_chosen, ((0, 0), (1, 1))):
        edges = np.flatnonzero(row[1:] != row[:-1])
        assert ((edges[1::2] - edges[::2]) % 3 == 0).all()
    assert not is_chosen[np.arange(LENGTH)[None] >= lengths[:, None]].any()


def test_every_placement_of_runs_apart_is_equally_likely():
    # Two runs of 3 among 8 frames: 2 frames stay and make 4 slots, comb(4, 2) = 6 placements.
    rows = 3000
    is_chosen = _scores("runs_apart", (LENGTH,), range(rows), [6] * rows, [8] * rows) >= 1
    placements, counts = np.unique(is_chosen, axis=0, return_counts=True)
    assert len(placements) == 6
    assert ((counts - rows / 6) ** 2 / (rows / 6)).sum() < 20.5  # chi-square, 5 degrees: p = .001


@pytest.mark.parametrize("allow_overlap", [False, True])
def test_runs_may_stand_behind_padding(allow_overlap):
    is_candidate = jnp.tile(jnp.arange(LENGTH) >= 9, (40, 1))
    rule = masking.make_rule("runs", run_length=3, allow_overlap=allow_overlap)
    is_chosen = _chosen(rule, 0, 40, (LENGTH,), 6, is_candidate=is_candidate)
    assert np.flatnonzero(is_chosen.any(axis=0)).tolist() == list(range(9, LENGTH))
    counts = set(is_chosen.sum(axis=1).tolist())
    assert counts == ({4, 5, 6} if allow_overlap else {6})


# SpecAugment.


def _spec_augment_loop(key, grid, real, time_bound, frequency_bound):
    """Two bands of each kind, from the uniforms that the rule draws."""
    hidden = np.zeros(grid, bool)
    draws = _uniforms(key, (2, 2), (2, 2), (1,))
    for axis, side, bound in ((0, real, time_bound), (1, grid[1], frequency_bound)):
        for i in range(2):
            width = math.floor(draws[axis][0, i] * min(bound, side))
            start = math.floor(draws[axis][1, i] * (side - width + 1))
            band = slice(start, start + width)
            hidden[(band, slice(None)) if axis == 0 else (slice(None), band)] = True
    hidden[real:] = False
    return hidden


def test_spec_augment_is_its_definition():
    grid, lengths = (10, 8), list(range(11))
    scores = _scores("spec_augment", grid, range(11), [0] * 11, lengths).reshape(11, *grid)
    for seed, real in enumerate(lengths):
        expected = _spec_augment_loop(jax.random.key(seed), grid, real, 9, 27)
        np.testing.assert_array_equal(scores[seed] >= 1, expected)


def _band_coverage(side, bound):
    """P(place i is in one band): width uniform below the bound, all its places equally likely."""
    covered = np.zeros(side)
    for width in range(bound):
        num_starts = side - width + 1
        for i in range(side):
            around = sum(start <= i < start + width for start in range(num_starts))
            covered[i] += around / num_starts / bound
    return covered


def test_spec_augment_hides_the_last_frame_and_frequency_as_often_as_the_first():
    grid, rows = (10, 8), 5000
    rule = masking.make_rule(
        "spec_augment", num_time_masks=1, max_time_width=7, max_frequency_width=4
    )
    is_chosen = _chosen(rule, 2, rows, grid)
    # Neither 6 frames nor two bands of 3 frequencies hide everything: each can be told apart.
    times, frequencies = is_chosen.all(axis=2), is_chosen.all(axis=1)
    _within(times.mean(axis=0), _band_coverage(10, 7), rows)
    _within(frequencies.mean(axis=0), 1 - (1 - _band_coverage(8, 4)) ** 2, rows)


def test_spec_augment_on_one_axis_alone():
    rule = functools.partial(audio.spec_augment, max_time_width=6, max_frequency_width=6)
    frames = _chosen(functools.partial(rule, num_frequency_masks=0), 3, 8, (9, 7))
    bands = _chosen(functools.partial(rule, num_time_masks=0), 3, 8, (9, 7))
    assert 0 < frames.mean() < 1
    assert 0 < bands.mean() < 1
    assert (frames == frames[:, :, :1]).all()
    assert (bands == bands[:, :1]).all()
    np.testing.assert_array_equal(_chosen(rule, 3, 8, (9, 7)), frames | bands)
    np.testing.assert_array_equal(_chosen(rule, 3, 8, (9,)), frames[:, :, 0])


def test_spec_augment_hides_less_than_its_share_of_the_real_frames():
    rule = masking.make_rule("spec_augment", num_time_masks=1, max_time_share=0.5)
    is_candidate = jnp.arange(20)[None] < jnp.tile(jnp.array([20, 8, 1]), 100)[:, None]
    is_chosen = _chosen(rule, 0, 300, (20,), is_candidate=is_candidate)
    assert is_chosen.sum(axis=1).reshape(100, 3).max(axis=0).tolist() == [9, 3, 0]


# AudioMAE.


def test_time_frequency_hides_the_published_number_of_patches():
    # 64 x 8 patches at .3 and .3 keep int(64 * .7) x int(8 * .7) = 44 x 5.
    rule = masking.make_rule("time_frequency", num_times=64 - 44, num_frequencies=8 - 5)
    is_chosen = _chosen(rule, 0, 3, (64, 8))
    assert (~is_chosen).sum(axis=(1, 2)).tolist() == [44 * 5] * 3
    # 1 - (1 - m_t)(1 - m_f)
    m_t, m_f = is_chosen.all(axis=2), is_chosen.all(axis=1)
    np.testing.assert_array_equal(
        is_chosen, 1 - (1 - m_t[..., None].astype(int)) * (1 - m_f[:, None].astype(int))
    )
    assert m_t.sum(axis=1).tolist() == [20] * 3
    assert m_f.sum(axis=1).tolist() == [3] * 3
    drawn = masking.draw(rule, jax.random.split(jax.random.key(0), 3), (64, 8), 512 - 220)
    np.testing.assert_array_equal(drawn.is_masked.reshape(3, 64, 8), is_chosen)


def test_time_frequency_shares_a_budget_between_its_axes():
    grid, rows = (6, 5), 31 * 7
    counts, lengths = np.arange(31).repeat(7), np.tile(np.arange(7), 31)
    counts = np.minimum(counts, 5 * lengths)
    scores = _scores("time_frequency", grid, range(rows), counts, lengths)
    for row, (count, real) in enumerate(zip(counts, lengths)):
        is_chosen = (scores[row] >= 1).reshape(grid)[:real]
        # The smallest numbers to keep whose shares of the sides are equal and cover the budget.
        share = math.sqrt(1 - count / (5 * real)) if real else 1
        num_times, num_frequencies = math.ceil(real * share - 1e-9), math.ceil(5 * share - 1e-9)
        assert (~is_chosen).sum() == num_times * num_frequencies
        assert is_chosen.sum() <= count
        kept_times, kept_frequencies = (~is_chosen).any(axis=1), (~is_chosen).any(axis=0)
        np.testing.assert_array_equal(~is_chosen, kept_times[:, None] & kept_frequencies)


def test_time_frequency_on_frames_hides_the_budget():
    for grid in [(11,), (11, 1)]:
        scores = audio.time_frequency(jax.random.key(0), grid, 4)
        assert int((scores >= 1).sum()) == 4


def test_time_frequency_chooses_every_time_and_frequency_equally_often():
    rows = 2000
    rule = masking.make_rule("time_frequency", num_times=2, num_frequencies=1)
    is_chosen = _chosen(rule, 4, rows, (5, 4))
    _within(is_chosen.all(axis=2).mean(axis=0), np.full(5, 2 / 5), rows)
    _within(is_chosen.all(axis=1).mean(axis=0), np.full(4, 1 / 4), rows)


# All of them.


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_exact_counts_and_padding_hold_for_any_length_and_budget(name, data):
    length = data.draw(st.integers(0, LENGTH), "length")
    count = data.draw(st.sampled_from([0, 1, length // 2, length, LENGTH]), "count")
    seed = data.draw(st.integers(0, 99), "seed")
    scores = _scores(name, (LENGTH,), [seed], [count], [length])
    assert (scores[0, length:] == -np.inf).all()
    assert ((scores[0, :length] >= 0) & (scores[0, :length] < 2)).all()
    is_masked = _cut_counts(scores, jnp.array([count]))
    assert int(is_masked.sum()) == min(count, length)
    chosen, hidden = set(np.flatnonzero(scores[0] >= 1)), set(np.flatnonzero(is_masked[0]))
    assert chosen <= hidden or hidden <= chosen  # filled up or trimmed, never both


@pytest.mark.parametrize("name", sorted({"wav2vec_spans", "runs", "spec_augment"}))
def test_a_static_budget_gives_the_scores_of_a_traced_one(name):
    traced = _scores(name, (LENGTH,), [7], [9], [LENGTH])[0]
    static = RULES[name](jax.random.key(7), (LENGTH,), 9, is_candidate=jnp.ones(LENGTH, bool))
    np.testing.assert_array_equal(static, traced)


@pytest.mark.parametrize(
    ("name", "options", "count", "message"),
    [
        ("wav2vec_spans", {}, 31, r"num_masked 31 must be from 0 to the 30 positions"),
        ("wav2vec_spans", {"span_length": 0}, 3, "span_length 0 must be at least 1 frame"),
        ("wav2vec_spans", {"min_spans": -1}, 3, "min_spans -1 must be at least 0"),
        ("runs", {"run_length": 0}, 3, "run_length 0 must be at least 1 frame"),
        ("runs", {}, -1, "num_masked -1 must be from 0"),
        ("spec_augment", {"num_time_masks": -1}, 3, "num_time_masks -1"),
        ("spec_augment", {"max_frequency_width": 0}, 3, "max_frequency_width 0 must be at least 1"),
        ("spec_augment", {"max_time_share": 1.5}, 3, "max_time_share 1.5 must be from 0 to 1"),
        ("time_frequency", {"num_times": 2}, 3, "num_frequencies None: give both or neither"),
        ("time_frequency", {"num_times": 7, "num_frequencies": 0}, 3, "num_times 7, .* exceed"),
    ],
)
def test_options_out_of_range_are_refused(name, options, count, message):
    with pytest.raises(ValueError, match=message):
        masking.make_rule(name)(jax.random.key(0), (6, 5), count, **options)


# What hidden frames become.


def _filled(rows, seed=0, **options):
    x = jnp.arange(1.0, 1 + rows * 8).reshape(rows, 8, 1)
    is_masked = jnp.tile(jnp.arange(8) % 3 == 1, (rows, 1))
    is_valid = jnp.tile(jnp.arange(8) < 6, (rows, 1))
    keys = jax.random.split(jax.random.key(seed), rows)
    filled = jax.jit(lambda: audio.fill_frames(x, is_masked, keys, is_valid=is_valid, **options))()
    return np.asarray(x)[..., 0], np.asarray(filled)[..., 0], np.asarray(is_masked)


def test_one_draw_decides_for_all_hidden_frames_of_a_row():
    rows = 2000
    x, filled, is_masked = _filled(rows)
    np.testing.assert_array_equal(filled[~is_masked], x[~is_masked])
    hidden, before = filled[is_masked].reshape(rows, 3), x[is_masked].reshape(rows, 3)
    is_zero, is_same = hidden == 0, hidden == before
    assert (is_zero.any(axis=1) == is_zero.all(axis=1)).all()
    # A random frame is the frame itself once in 6 (the last hidden one is padding: never).
    counts = np.array([is_zero.all(axis=1).sum(), (is_same.all(axis=1)).sum()])
    counts = np.append(counts, rows - counts.sum())
    expected = rows * np.array([0.8, 0.1, 0.1])
    assert ((counts - expected) ** 2 / expected).sum() < 13.8  # chi-square, 2 degrees: p = .001


def test_random_frames_are_real_ones_of_the_same_row_equally_often():
    rows = 2000
    x, filled, is_masked = _filled(rows, zero_share=0, random_share=1)
    sources = (filled - x[:, :1])[is_masked].astype(int)
    counts = np.bincount(sources, minlength=6)
    assert len(counts) == 6  # no padding, no other row
    assert ((counts - rows * 3 / 6) ** 2 / (rows * 3 / 6)).sum() < 20.5  # 5 degrees: p = .001


def test_frames_can_be_decided_one_by_one():
    _, filled, is_masked = _filled(1000, zero_share=0.5, per_frame=True)
    num_zero = (filled[is_masked].reshape(1000, 3) == 0).sum(axis=1)
    expected = 1000 * np.array([1, 3, 3, 1]) / 8  # binomial
    assert ((np.bincount(num_zero, minlength=4) - expected) ** 2 / expected).sum() < 16.3


@pytest.mark.parametrize(
    ("zero_share", "random_share", "message"),
    [(0.8, 0.3, "zero_share 0.8 and random_share 0.3"), (-0.1, 0.5, "zero_share -0.1")],
)
def test_shares_that_do_not_add_up_are_refused(zero_share, random_share, message):
    with pytest.raises(ValueError, match=message):
        _filled(1, zero_share=zero_share, random_share=random_share)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("masked", "valid", "num_keys", "message"),
    [
        ((2, 1), (2, 3), 2, r"is_masked of shape \(2, 1\) for frames of shape \(2, 3\)"),
        ((2, 3), (2, 1), 2, r"is_valid of shape \(2, 1\) for frames"),
        ((2, 3), (2, 3), 1, r"1 keys for 2 examples"),
    ],
)
def test_flags_of_frames_that_would_broadcast_are_refused(masked, valid, num_keys, message):
    keys = jax.random.split(jax.random.key(0), num_keys)
    flags = {"is_masked": jnp.ones(masked, bool), "is_valid": jnp.ones(valid, bool)}
    with pytest.raises(ValueError, match=message):
        audio.fill_frames(jnp.ones((2, 3, 4)), keys=keys, **flags)


@pytest.mark.usefixtures("unchecked")
def test_flags_of_frames_are_boolean_and_lists_are_frames():
    x, keys = [[[1.0], [2.0]]], jax.random.split(jax.random.key(0), 1)
    fill = functools.partial(audio.fill_frames, keys=keys, zero_share=1, random_share=0)
    assert fill(x, [[True, False]]).tolist() == [[[0], [2]]]
    with pytest.raises(ValueError, match="is_masked holds int32: flags are boolean"):
        fill(x, jnp.array([[1, 0]]))
    with pytest.raises(ValueError, match="is_valid holds float32: flags are boolean"):
        fill(x, [[True, False]], is_valid=jnp.array([[0.0, -1e9]]))
    with pytest.raises(ValueError, match="zero_share is None: give one number"):
        fill(x, [[True, False]], zero_share=None)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("wav2vec_spans", {"span_length": 2.5}, "span_length .*2.5: give an int of at least 1"),
        ("wav2vec_spans", {"min_spans": None}, "min_spans .*None: give an int of at least 0"),
        ("wav2vec_spans", {"is_candidate": [1] * 9}, "is_candidate holds int32: flags are boolean"),
        ("runs", {"run_length": "7"}, "run_length .*'7': give an int"),
        ("spec_augment", {"max_time_width": 2.5}, "max_time_width .*2.5: give an int"),
        ("spec_augment", {"max_time_share": None}, "max_time_share is None: give one number"),
        (
            "time_frequency",
            {"num_times": 0.5, "num_frequencies": 0},
            "num_times .*0.5: give an int",
        ),
    ],
)
def test_other_than_whole_numbers_and_flags_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(audio, name)(jax.random.key(0), (9,), 3, **options)
