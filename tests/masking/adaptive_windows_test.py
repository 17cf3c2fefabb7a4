"""The window that follows the error, against a loop from the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking

GRID, LENGTH = (3, 4), 12


def window(losses, count, axis):
    """Extent and the sum of losses from each start, from the definition."""
    order = [
        i * 4 + j for i, j in (((i, j) for i in range(3) for j in range(4)) if axis == 0
        else ((i, j) for j in range(4) for i in range(3)))
    ]  # fmt: skip
    in_order = [max(float(losses[i]), 0) for i in order]
    if not any(in_order):
        in_order = [1.0] * LENGTH
    spread = sum(in_order) ** 2 / sum(x * x for x in in_order)
    extent = min(max(round(spread), 1), max(count, 1))
    sums = [sum(in_order[(s + i) % LENGTH] for i in range(extent)) for s in range(LENGTH)]
    return order, extent, sums


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_place_and_extent_follow_the_losses_and_the_count_is_exact(axis, temperature):
    rows = 60
    rng = np.random.default_rng(0)
    # From one hard position to equal ones, all 0 in the first row.
    losses = np.float32(rng.random((rows, LENGTH)) ** np.linspace(12, 0, rows)[:, None])
    losses[0] = 0
    counts = rng.integers(0, LENGTH + 1, rows)
    keys = jax.random.split(jax.random.key(1), rows)
    rule = masking.make_rule("error_window", axis=axis, temperature=temperature)
    score = jax.jit(
        lambda counts: masking.score(rule, keys, GRID, counts, losses=jnp.asarray(losses))
    )
    scores = np.asarray(score(jnp.asarray(counts)))
    hidden = np.asarray(masking.cut_counts(jnp.asarray(scores), jnp.asarray(counts)))
    assert (hidden.sum(1) == counts).all()
    assert (scores < 1).all()  # nothing that `draw_chosen` would hide
    extents = set()
    for row in range(rows):
        order, extent, sums = window(losses[row], counts[row], axis)
        places = np.flatnonzero(scores[row][order] >= 0.5)
        starts = [
            s for s in range(LENGTH) if {(s + i) % LENGTH for i in range(extent)} == {*places}
        ]
        assert starts, (extent, places)
        extents.add(extent)
        if temperature == 0 and extent < LENGTH:
            np.testing.assert_allclose(sums[starts[0]], max(sums), rtol=1e-5)
        if counts[row]:
            assert hidden[row][np.array(order)[places]].all()
    assert len(extents) > 5


def test_a_start_is_drawn_in_proportion_to_the_sum_within():
    rows, losses = 4000, np.float32([9, 1, 0, 0, 0, 0])
    keys = jax.random.split(jax.random.key(0), rows)
    rule = masking.make_rule("error_window")
    draw = jax.jit(lambda: masking.score(rule, keys, (6,), 3, losses=jnp.tile(losses, (rows, 1))))
    # 100 / 82 of effective positions: one wide, nine times in ten at the first.
    first = np.asarray(draw()[:, 0] >= 0.5).mean()
    assert abs(first - 0.9) < 4.5 * np.sqrt(0.09 / rows)


def test_what_is_no_candidate_draws_no_window():
    losses, rows = jnp.array([[1.0, 1.0, 0.1, 9.0, 9.0, 9.0]] * 50), 50
    keys = jax.random.split(jax.random.key(0), rows)
    rule = masking.make_rule("error_window", temperature=0.0)
    is_candidate = jnp.arange(6)[None] < jnp.full((rows, 1), 3)
    hidden = masking.draw_counts(
        rule, keys, (6,), jnp.full(rows, 2), losses=losses, is_candidate=is_candidate
    )
    np.testing.assert_array_equal(hidden, [[True, True, False, False, False, False]] * rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": 2}, r"axis 2 is not one of the 2 of grid \(3, 4\)"),
        ({"temperature": -1}, "temperature -1 must be finite and at least 0"),
        ({"losses": jnp.ones(3)}, "losses"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        masking.error_window(jax.random.key(0), GRID, 3, **({"losses": jnp.ones(12)} | options))
