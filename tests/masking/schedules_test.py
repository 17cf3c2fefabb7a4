import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking

KEY = jax.random.key(0)
SCHEDULES = {
    "constant": {"ratio": 0.75},
    "linear": {"start": 0.3, "end": 0.15, "total_steps": 20},
    "cosine": {"start": 0.5, "end": 0.9, "total_steps": 20},
    "uniform": {"low": 0.5, "high": 0.8},
}


def test_every_schedule_is_covered_here():
    assert set(SCHEDULES) == set(masking.SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("length", [1, 49, 196])
def test_counts_stay_within_the_static_bounds(name, length):
    schedule = masking.make_schedule(name, **SCHEDULES[name])
    low, high = schedule.min_num_masked(length), schedule.max_num_masked(length)
    assert low == masking.num_masked_from_ratio(length, schedule.min_ratio)
    assert high == masking.num_masked_from_ratio(length, schedule.max_ratio)
    count = jax.jit(jax.vmap(lambda step, key: schedule.num_masked(length, step, key)))
    counts = np.asarray(count(jnp.arange(60), jax.random.split(KEY, 60)))
    assert ((low <= counts) & (counts <= high)).all()
    if name in ("linear", "cosine"):
        ends = {counts[0], counts[20]}
        assert ends == {low, high}
        assert (counts[20:] == counts[20]).all()
        assert (np.diff(counts) * np.sign(counts[-1] - counts[0]) >= 0).all()


@pytest.mark.parametrize("ratio", [0.1, 0.15, 0.3, 0.6, 0.7, 0.75, 0.8, 0.9, 1 / 3, 2 / 3, 0.999])
def test_a_constant_schedule_counts_as_python_floats_do(ratio):
    schedule = masking.constant(ratio=ratio)
    for length in (7, 49, 64, 100, 196, 1568):
        expected = masking.num_masked_from_ratio(length, ratio)
        assert int(schedule.num_masked(length, 5, KEY)) == expected
        assert schedule.min_num_masked(length) == schedule.max_num_masked(length) == expected


def test_linear_and_cosine_follow_their_formulas():
    linear = masking.linear(start=0.2, end=0.6, total_steps=10)
    cosine = masking.cosine(start=0.2, end=0.6, total_steps=10)
    for step in range(13):
        progress = min(step / 10, 1)
        assert float(linear.ratio(step, KEY)) == pytest.approx(0.2 + 0.4 * progress, abs=1e-6)
        expected = 0.6 + (0.2 - 0.6) * (1 + math.cos(math.pi * progress)) / 2
        assert float(cosine.ratio(jnp.int32(step), KEY)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", [masking.linear, masking.cosine])
def test_the_last_count_is_that_of_the_last_ratio(shape):
    for start, end in [(0.5, 0.9), (0.9, 0.5), (0.3, 0.7), (0.15, 0.15)]:
        schedule = shape(start=start, end=end, total_steps=7)
        for length in (49, 100, 196):
            first, last = (int(schedule.num_masked(length, step, KEY)) for step in (0, 7))
            assert first == masking.num_masked_from_ratio(length, start)
            assert last == masking.num_masked_from_ratio(length, end)


def test_uniform_covers_its_range_and_ignores_the_step():
    schedule = masking.uniform(low=0.25, high=0.75)
    ratios = np.asarray(jax.vmap(lambda key: schedule.ratio(0, key))(jax.random.split(KEY, 2000)))
    # Uniform: mean 0.5, deviation 0.5 / sqrt(12).
    assert abs(ratios.mean() - 0.5) < 4 * 0.5 / math.sqrt(12 * 2000)
    assert 0.25 <= ratios.min() < 0.26
    assert 0.74 < ratios.max() < 0.75
    assert float(schedule.ratio(0, KEY)) == float(schedule.ratio(9, KEY))


def test_a_rule_and_a_schedule_may_share_a_key():
    # The same key must not make the first position's noise follow the ratio.
    schedule, keys = masking.uniform(low=0.25, high=0.75), jax.random.split(KEY, 1000)
    ratios = jax.vmap(lambda key: schedule.ratio(0, key))(keys)
    noise = masking.score(masking.make_rule("random"), keys, (4,), 2)
    correlations = np.corrcoef(np.column_stack([ratios, noise]).T)[0, 1:]
    assert (abs(correlations) < 4 / math.sqrt(1000)).all()


def test_a_schedule_drives_an_encoder_with_static_slots():
    """Schedule, rule and slots together: shapes by the smallest ratio, flags by each row's own."""
    schedule = masking.uniform(low=0.5, high=0.9)
    rule, grid, length = masking.make_rule("block", min_area=4), (6, 6), 36

    @jax.jit
    def draw(keys, step):
        counts = jax.vmap(lambda key: schedule.num_masked(length, step, key))(keys)
        smallest = schedule.min_num_masked(length)
        return counts, masking.draw_slots(rule, keys, grid, counts, smallest)

    counts, (drawn, is_visible) = draw(jax.random.split(KEY, 16), 0)
    assert drawn.ids_keep.shape == (16, 18)
    assert len(set(counts.tolist())) > 3
    np.testing.assert_array_equal(drawn.is_masked.sum(axis=1), counts)
    np.testing.assert_array_equal(is_visible.sum(axis=1), 36 - counts)
    draw(jax.random.split(KEY, 16), 1)
    assert draw._cache_size() == 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("constant", {"ratio": 1.0}, "mask ratio 1.0 must lie strictly between 0 and 1"),
        ("linear", {"start": 0.0, "end": 0.5, "total_steps": 5}, "mask ratio 0.0 must lie"),
        ("linear", {"start": 0.1, "end": 0.5, "total_steps": 0}, "total_steps 0 must be at least"),
        ("uniform", {"low": 0.8, "high": 0.5}, "lowest mask ratio 0.8 exceeds the highest, 0.5"),
        ("cosin", {}, r"unknown mask-ratio schedule 'cosin' \(did you mean 'cosine'\?\)"),
        ("constant", {"rate": 0.5}, r"no option 'rate' \(did you mean 'ratio'\?\)"),
        ("uniform", {"low": 0.5}, "mask-ratio schedule 'uniform' needs 'high'"),
    ],
)
def test_impossible_schedules_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        masking.make_schedule(name, **options)
