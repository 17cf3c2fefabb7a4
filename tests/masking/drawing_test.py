import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking

KEYS = jax.random.split(jax.random.key(0), 3)


def test_draw_chosen_refuses_a_rule_that_chooses_nothing():
    message = "rule random chooses nothing by itself: use draw or draw_counts"
    with pytest.raises(ValueError, match=message):
        masking.draw_chosen(masking.make_rule("random"), KEYS, (4,), 2)
    with pytest.raises(ValueError, match="frequency_band chooses nothing by itself without radius"):
        masking.draw_chosen(masking.frequency_band, KEYS, (4,), 2)


def test_a_rule_may_choose_with_an_option_alone():
    rule = masking.make_rule("frequency_band", band="low")
    assert not masking.chooses(rule)
    assert not masking.chooses(masking.make_rule("frequency_band", radius=None))
    assert masking.chooses(masking.make_rule("frequency_band", radius=1))
    for given in (
        masking.draw_chosen(
            masking.make_rule("frequency_band", band="low", radius=1), KEYS, (5,), 0
        ),
        masking.draw_chosen(rule, KEYS, (5,), 0, radius=1),
    ):
        assert given.astype(int).tolist() == [[0, 0, 1, 0, 0]] * 3


def test_draw_chosen_takes_a_plain_function():
    def first(key, grid, num_masked):
        return jnp.where(jnp.arange(masking.grid_length(grid)) == 0, 1.5, 0.5)

    assert not masking.chooses(first)
    assert masking.draw_chosen(first, KEYS[:1], (3,), 0).tolist() == [[True, False, False]]


def test_draw_is_the_cut_of_the_scores():
    rule = masking.make_rule("random")
    jitted = jax.jit(lambda keys: masking.draw(rule, keys, (3, 4), 5))
    scores = masking.score(rule, KEYS, (3, 4), 5)
    chex.assert_trees_all_equal(jitted(KEYS), masking.cut(scores, 5))


def test_draw_slots_is_the_slots_of_the_scores():
    rule, counts = masking.make_rule("inverse_block", min_area=2), jnp.array([4, 6, 9])
    slots = masking.draw_slots(rule, KEYS, (3, 4), counts, 4)
    scores = masking.score(rule, KEYS, (3, 4), counts)
    chex.assert_trees_all_equal(slots, masking.cut_slots(scores, counts, 4))


def test_draw_takes_a_plain_function():
    def last(key, grid, num_masked):
        return jnp.arange(float(masking.grid_length(grid)))

    assert masking.draw(last, KEYS[:1], (3,), 1).is_masked.tolist() == [[False, False, True]]
    assert not masking.needs_step(last)


def test_scalars_are_shared_and_arrays_have_a_row_per_example():
    log_weights = jnp.eye(3) * 9
    drawn = masking.draw(
        masking.make_rule("weighted"), KEYS, (3,), 1, log_weights=log_weights, temperature=0.0
    )
    np.testing.assert_array_equal(drawn.is_masked, np.eye(3, dtype=bool))


@pytest.mark.parametrize(
    ("name", "runtime", "message"),
    [
        ("weighted", {}, "rule weighted needs log_weights"),
        ("random", {"step": 3}, "rule random takes no 'step'; it takes .'noise'."),
        ("random", {"noise": np.zeros((2, 4))}, "noise has 2 rows for 3 examples"),
        ("random", {"noise": jnp.zeros((3, 5))}, r"noise of shape \(5,\) for 4 positions"),
        ("weighted", {"log_weights": jnp.zeros((3, 5))}, r"log_weights of shape \(5,\) for 4"),
    ],
)
def test_runtime_arguments_that_do_not_fit_are_refused(name, runtime, message):
    with pytest.raises(ValueError, match=message):
        masking.draw(masking.make_rule(name), KEYS, (4,), 2, **runtime)


@pytest.mark.parametrize(
    ("name", "options", "grid", "message"),
    [
        ("block", {"min_area": 0}, (4, 4), "min_area 0 must be at least 1"),
        ("block", {"max_aspect": 0.3}, (4, 4), "max_aspect 0.3 must be at least 1"),
        ("inverse_block", {"min_area": -1}, (4, 4), "min_area -1"),
        ("grid", {"stride": 0}, (4, 4), r"stride 0 for grid \(4, 4\)"),
        ("grid", {"stride": (2, 2, 2)}, (4, 4), r"stride \(2, 2, 2\) for grid \(4, 4\)"),
        ("sliding", {"axis": 2}, (4, 4), r"axis 2 is not one of the 2 of grid \(4, 4\)"),
        ("sliding", {}, (4096, 4097), "16781312 positions; a sliding window takes at most"),
        ("tube", {}, (16,), r"grid \(16,\) has one axis"),
        ("weighted", {"temperature": -1.0, "log_weights": jnp.zeros(16)}, (4, 4), "temperature -1"),
        ("random", {}, (4, 0), r"grid \(4, 0\): every side must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(name, options, grid, message):
    with pytest.raises(ValueError, match=message):
        masking.draw(masking.make_rule(name, **options), KEYS, grid, 2)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("count", [17, -1, np.int64(17), np.array(17), jnp.array(17)])
def test_count_out_of_range_is_refused(count):
    message = f"num_masked {count} must be from 0 to the 16 positions"
    for draw in (masking.draw, masking.score, masking.draw_chosen):
        with pytest.raises(ValueError, match=message):
            draw(masking.make_rule("block"), KEYS, (4, 4), count)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("counts", [jnp.array([2, 3]), jnp.array([2]), jnp.array([[2, 2, 2]])])
def test_counts_that_are_not_one_per_example_are_refused(counts):
    message = rf"num_masked of shape {re.escape(str(counts.shape))} for 3 examples"
    with pytest.raises(ValueError, match=message):
        masking.draw_counts(masking.make_rule("random"), KEYS, (4,), counts)


@pytest.mark.parametrize("name", ["random", "hierarchical"])
@pytest.mark.parametrize("shape", [(3, 1), (1, 4), (4,), (3,), (3, 5), (), (2, 4), (3, 2, 2)])
def test_candidates_that_are_not_one_flag_per_position_are_refused(name, shape):
    rule, is_candidate = masking.make_rule(name), jnp.ones(shape, bool)
    message = rf"is_candidate of shape {re.escape(str(shape))} .* \(3, 4\)$"
    with pytest.raises(ValueError, match=message):
        masking.draw(rule, KEYS, (2, 2), 2, is_candidate=is_candidate)


@pytest.mark.parametrize("name", ["random", "hierarchical"])
def test_no_candidates_given_means_all(name):
    rule = masking.make_rule(name)
    drawn = masking.draw(rule, KEYS, (2, 2), 2, is_candidate=None)
    chex.assert_trees_all_equal(drawn, masking.draw(rule, KEYS, (2, 2), 2))


@pytest.mark.parametrize("name", masking.RULES)
def test_rules_work_where_64_bit_numbers_are_enabled(name):
    rule, rng = masking.make_rule(name), np.random.RandomState(0)
    counts, schedule = jnp.array([4, 6, 9]), masking.uniform(low=0.2, high=0.8)
    with jax.enable_x64(True):
        # What any rule may need from outside, by its name in all of them, in 64 bits.
        pool = {"step": 5, "word_ids": np.sort(rng.randint(0, 24, (3, 24)))}
        pool |= {name: rng.randn(3, 2, 3, 4) for name in ("weights", "gradients", "movement")}
        pool |= {name: rng.randn(3, 24) for name in ("log_weights", "losses", "attention")}
        pool |= {name: rng.rand(3, 24) for name in ("probabilities", "coverage")}
        needed = masking.missing_options(rule, {}) + ["step"] * masking.needs_step(rule)
        runtime = {name: jnp.asarray(pool[name]) for name in needed}
        draw = jax.jit(
            lambda runtime: masking.draw_slots(rule, KEYS, (2, 3, 4), counts, 4, **runtime)
        )
        drawn = draw(runtime).masking
        assert drawn.is_masked.sum(axis=1).tolist() == counts.tolist()
        assert 4 <= int(schedule.num_masked(24, 5, KEYS[0])) <= 20
