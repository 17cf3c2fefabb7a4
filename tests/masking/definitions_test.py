"""Each rule against a slow NumPy version of its definition, fed with the same uniforms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking
from maskjax.masking.grid_rules import window_start

SEEDS = range(3)


def _hide_highest(scores, count):
    """The cut, one position at a time; among equals the later one."""
    is_masked = np.zeros(len(scores), bool)
    for _ in range(count):
        best = max(
            (i for i in range(len(scores)) if not is_masked[i]), key=lambda i: (scores[i], i)
        )
        is_masked[best] = True
    return is_masked


_cut_counts = jax.jit(masking.cut_counts)  # one compilation for all counts


def _drawn(name, key, grid, count, **options):
    scores = masking.make_rule(name, **options)(key, grid, count)
    return np.asarray(_cut_counts(scores, count))


@pytest.mark.parametrize("seed", SEEDS)
def test_random_is_the_argsort_of_uniform_noise(seed):
    key = jax.random.key(seed)
    noise = np.asarray(jax.random.uniform(key, (30,)))
    drawn = _drawn("random", key, (5, 6), 20)
    np.testing.assert_array_equal(drawn, _hide_highest(noise, 20))
    np.testing.assert_array_equal(
        _drawn("random", key, (5, 6), 20, noise=jnp.asarray(noise)), drawn
    )


def test_injected_noise_gives_the_ids_of_the_reference():
    # MAE: ids_shuffle = argsort(noise), keep the first, ids_restore = argsort(ids_shuffle).
    noise = np.random.RandomState(0).rand(3, 16).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), 3)
    drawn = masking.draw(masking.make_rule("random"), keys, (4, 4), 12, noise=jnp.asarray(noise))
    ids_shuffle = np.argsort(noise, axis=1)
    np.testing.assert_array_equal(drawn.ids_keep, ids_shuffle[:, :4])
    np.testing.assert_array_equal(drawn.ids_masked, ids_shuffle[:, 4:])
    np.testing.assert_array_equal(drawn.ids_restore, np.argsort(ids_shuffle, axis=1))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_weighted_is_gumbel_top_k(seed, temperature):
    key = jax.random.key(seed)
    log_weights = np.random.RandomState(seed).randn(24).astype(np.float32)
    gumbel = np.asarray(jax.random.gumbel(key, (24,)), np.float64)
    drawn = _drawn(
        "weighted", key, (2, 3, 4), 9, log_weights=jnp.asarray(log_weights), temperature=temperature
    )
    np.testing.assert_array_equal(drawn, _hide_highest(log_weights / temperature + gumbel, 9))


def test_weighted_at_temperature_zero_hides_the_largest_weights():
    log_weights = jnp.log(jnp.array([1.0, 5.0, 2.0, 4.0, 3.0]))
    for seed in SEEDS:
        drawn = _drawn(
            "weighted", jax.random.key(seed), (5,), 2, log_weights=log_weights, temperature=0
        )
        assert drawn.tolist() == [False, True, False, True, False]


def test_weighted_draws_in_proportion_to_the_weights():
    weights = np.array([1.0, 2.0, 3.0, 4.0, 0.0])
    keys = jax.random.split(jax.random.key(0), 4000)
    rule = masking.make_rule("weighted", log_weights=jnp.log(jnp.asarray(weights, jnp.float32)))
    share = np.asarray(masking.draw(rule, keys, (5,), 1).is_masked).mean(axis=0)
    expected = weights / weights.sum()
    assert share[4] == 0
    assert (abs(share - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / 4000)).all()


@pytest.mark.parametrize(
    ("grid", "stride"), [((8, 8), 2), ((5, 7), (2, 3)), ((9,), 2), ((3, 4, 5), 2), ((1, 6), 3)]
)
@pytest.mark.parametrize("seed", SEEDS)
def test_grid_keeps_a_shifted_lattice(grid, stride, seed):
    key = jax.random.key(seed)
    strides = np.minimum((stride,) * len(grid) if isinstance(stride, int) else stride, grid)
    shift_key, noise_key = jax.random.split(key)
    shifts = np.asarray(jax.random.randint(shift_key, (len(grid),), 0, strides))
    noise = np.asarray(jax.random.uniform(noise_key, (math.prod(grid),)))
    scores = []
    for i, position in enumerate(np.ndindex(*grid)):
        on_lattice = all(p % s == shift for p, s, shift in zip(position, strides, shifts))
        scores.append(noise[i] - on_lattice)
    assert any(score < 0 for score in scores)
    for count in (1, len(scores) // 2, len(scores) - 1):
        drawn = _drawn("grid", key, grid, count, stride=stride)
        np.testing.assert_array_equal(drawn, _hide_highest(scores, count))


def test_grid_at_three_quarters_keeps_one_of_every_four():
    drawn = _drawn("grid", jax.random.key(3), (14, 14), 147).reshape(7, 2, 7, 2)
    assert ((~drawn).sum(axis=(1, 3)) == 1).all()
    assert (
        len(np.unique(drawn.reshape(7, 2, 7, 2).transpose(0, 2, 1, 3).reshape(49, 4), axis=0)) == 1
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize(("step", "stride"), [(0, 1), (7, 1), (3, 4), (2_000_000_000, 11)])
def test_sliding_hides_a_window_that_wraps_around(axis, step, stride):
    grid, count = (3, 4, 2), 10
    positions = sorted(np.ndindex(*grid), key=lambda p: (p[axis], p))
    start = step * stride % 24
    hidden = {positions[(start + i) % 24] for i in range(count)}
    expected = [position in hidden for position in np.ndindex(*grid)]
    for traced in (step, jnp.int32(step)):
        drawn = _drawn(
            "sliding", jax.random.key(0), grid, count, step=traced, stride=stride, axis=axis
        )
        assert drawn.tolist() == expected


@pytest.mark.parametrize("length", [1, 127, 768 * 3072, 2**24 - 3, 2**24])
def test_a_window_starts_at_the_exact_product_of_step_and_stride(length):
    start_of = jax.jit(window_start, static_argnums=(1, 3))
    for step in (0, 1, 2**24 + 1, 2**31 - 7, 2**31 - 1):
        for stride in (1, length // 3, length - 1, length):
            start = start_of(jax.random.key(0), (length,), jnp.int32(step), stride)
            assert start == step * stride % length, (step, stride)
            assert window_start(jax.random.key(0), (length,), step, stride) == start


def test_a_block_slides_over_a_weight_of_more_than_2_to_the_20():
    grid, rule = (768, 3072), masking.make_rule("sliding_block", block=32, step=767 * 3072 + 3071)
    params, key = {"w": jnp.zeros(grid)}, jax.random.key(0)
    scores = masking.parameters.score_leaves(rule, key, params, {"w": 0.5})["w"]
    rows, columns = np.nonzero(np.asarray(scores).reshape(grid) > -(32 * 32))
    assert set(zip(rows, columns)) == {
        ((767 + i) % 768, (3071 + j) % 3072) for i in range(32) for j in range(32)
    }


def test_sliding_from_the_key_starts_everywhere():
    keys = jax.random.split(jax.random.key(0), 200)
    drawn = masking.draw(masking.make_rule("sliding", step=None), keys, (8,), 3)
    starts = {tuple(row) for row in np.asarray(drawn.is_masked).tolist()}
    assert len(starts) == 8
    assert all(sum(a != b for a, b in zip(row, (*row[1:], row[0]))) == 2 for row in starts)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [0, 9, 17, 24, 36])
def test_tube_repeats_a_spatial_rule_and_splits_at_most_one_tube(seed, count):
    key, grid = jax.random.key(seed), (3, 4, 3)
    space_key, noise_key = jax.random.split(key)
    noise = np.asarray(jax.random.uniform(noise_key, (36,))).reshape(3, 12)
    places = np.argsort(np.asarray(jax.random.uniform(space_key, (12,))))[::-1]
    expected = np.zeros((3, 12), bool)
    whole, rest = divmod(count, 3)
    expected[:, places[:whole]] = True
    for frame in np.argsort(noise[:, places[min(whole, 11)]])[::-1][:rest]:
        expected[frame, places[whole]] = True
    np.testing.assert_array_equal(_drawn("tube", key, grid, count).reshape(3, 12), expected)


def test_tube_never_hides_a_place_that_the_spatial_rule_protects():
    log_weights = jnp.array([0.0, -jnp.inf, 0.0, 1.0])
    space_rule = masking.make_rule("weighted", log_weights=log_weights)
    drawn = _drawn("tube", jax.random.key(0), (2, 4), 8, space_rule=space_rule)
    assert drawn.reshape(2, 4).tolist() == [[True, False, True, True]] * 2


def test_random_hides_every_position_equally_often():
    keys = jax.random.split(jax.random.key(0), 5000)
    is_masked = np.asarray(masking.draw(masking.make_rule("random"), keys, (4, 5), 15).is_masked)
    share = is_masked.mean(axis=0)
    assert (abs(share - 0.75) < 4.5 * math.sqrt(0.75 * 0.25 / 5000)).all()
    # Two positions: without replacement, 15/20 * 14/19.
    both = is_masked.T.astype(float) @ is_masked / 5000
    off_diagonal = both[~np.eye(20, dtype=bool)]
    expected = 15 / 20 * 14 / 19
    assert (abs(off_diagonal - expected) < 4.5 * math.sqrt(expected * (1 - expected) / 5000)).all()


def test_batch_size_and_order_do_not_change_an_examples_mask():
    rule, root = masking.make_rule("random"), jax.random.key(5)
    whole = masking.draw(rule, masking.example_keys(root, 7, jnp.arange(6)), (4, 4), 12)
    part = masking.draw(rule, masking.example_keys(root, 7, jnp.array([5, 2])), (4, 4), 12)
    np.testing.assert_array_equal(part.is_masked, whole.is_masked[jnp.array([5, 2])])
    later = masking.draw(rule, masking.example_keys(root, 8, jnp.arange(6)), (4, 4), 12)
    assert (np.asarray(later.is_masked) != np.asarray(whole.is_masked)).any(axis=1).all()
