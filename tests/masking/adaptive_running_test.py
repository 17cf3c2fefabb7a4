"""Running losses against a loop over observations, and what they do to the rule they feed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskjax import masking
from maskjax.masking.adaptive import amlm, labels, running, token_frequencies

NUM_ENTRIES, DECAY = 5, 0.75


@jax.jit
def _update(state, ids, losses, is_masked):
    sums = running.statistics(losses, is_masked, ids=ids, num_entries=NUM_ENTRIES)
    return running.apply(state, sums, decay=DECAY)


def _loop(batches):
    """Running means from the definition; None before the first observation."""
    values = [None] * NUM_ENTRIES
    for ids, losses, is_masked in batches:
        for entry in range(NUM_ENTRIES):
            seen = losses[(ids == entry) & is_masked].astype(float)
            if seen.size:
                old = values[entry]
                mean = seen.mean()
                values[entry] = mean if old is None else DECAY * old + (1 - DECAY) * mean
    return values


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), num_batches=st.integers(1, 4), rate=st.sampled_from([0, 0.3, 1]))
def test_running_losses_are_means_of_what_was_hidden(seed, num_batches, rate):
    random = np.random.RandomState(seed)
    batches = []
    for _ in range(num_batches):
        ids = random.randint(-1, NUM_ENTRIES + 1, (3, 4))  # -1 and N are no entries
        is_masked = random.rand(3, 4) < rate
        # What a visible position lost is nobody's business: here not even a number.
        losses = np.where(is_masked, random.gamma(2, size=(3, 4)), np.nan).astype(np.float32)
        batches.append((ids, losses, is_masked))
    state = running.init(NUM_ENTRIES)
    for batch in batches:
        state = _update(state, *map(jnp.asarray, batch))
    expected = _loop(batches)
    np.testing.assert_allclose(state.losses, [value or 0 for value in expected], rtol=1e-5)
    assert (np.asarray(state.num_updates) > 0).tolist() == [v is not None for v in expected]


def test_without_ids_the_entries_are_the_positions():
    losses = jnp.array([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]])
    is_masked = jnp.array([[True, True, False], [True, False, False]])
    sums = running.statistics(losses, is_masked)
    assert sums.loss_sum.tolist() == [6.0, 2.0, 0.0]
    assert sums.count.tolist() == [2.0, 1.0, 0.0]
    assert running.statistics(losses[0], is_masked[0]).count.tolist() == [1.0, 1.0, 0.0]


def test_devices_that_hid_different_numbers_agree_with_the_whole_batch():
    # Each device's own mean, averaged, would be wrong: they hide 1, 4 and 0 positions.
    losses = jnp.arange(12.0).reshape(3, 1, 4)
    is_masked = jnp.array([[[1, 0, 0, 0]], [[1, 1, 1, 1]], [[0, 0, 0, 0]]], bool)
    ids = jnp.array([[[0, 1, 1, 1]], [[0, 0, 0, 1]], [[0, 0, 1, 1]]])

    def on_device(losses, is_masked, ids):
        sums = running.statistics(losses, is_masked, ids=ids, num_entries=2)
        return running.apply(running.init(2), jax.lax.psum(sums, "data"))

    spread = jax.vmap(on_device, axis_name="data")(losses, is_masked, ids)
    assert spread.losses.tolist() == [[15 / 4, 7.0]] * 3  # (0 + 4 + 5 + 6) / 4 and 7


def test_state_is_a_pytree_of_arrays_that_survives_flattening():
    state = running.init(4)
    leaves, structure = jax.tree.flatten(state)
    assert [leaf.shape for leaf in leaves] == [(4,), (4,)]
    again = jax.tree.unflatten(structure, [np.asarray(leaf) for leaf in leaves])
    assert isinstance(again, running.RunningLosses)


def _state(losses, num_updates):
    return running.RunningLosses(jnp.array(losses, jnp.float32), jnp.array(num_updates))


@pytest.mark.parametrize(
    ("losses", "num_updates", "expected"),
    [
        ([0, 0, 0], [0, 0, 0], [1, 1, 1]),  # nothing known: all the same
        ([2, 6, 0], [1, 1, 0], [0.5, 1.5, 1]),  # the unknown weighs the mean of the known
        ([0, 8, 0], [1, 3, 1], [0.01, 3, 0.01]),  # what is learnt is not given up
        ([0, 0, 0], [1, 1, 1], [0.01, 0.01, 0.01]),
    ],
)
def test_weights_are_losses_over_their_mean(losses, num_updates, expected):
    logs = running.log_weights(_state(losses, num_updates))
    np.testing.assert_allclose(np.exp(logs), expected, rtol=1e-5)
    ids = jnp.array([[2, 1], [0, 2]])
    np.testing.assert_array_equal(
        running.log_weights(_state(losses, num_updates), ids), logs[np.asarray(ids)]
    )


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(1, [0.2, 0.5, 0.3]), (0.5, np.array([4, 25, 9]) / 38), (0, [0, 1, 0])],
)
def test_hard_positions_are_hidden_more_often_and_the_count_stays_exact(temperature, expected):
    rows = 4000
    logs = running.log_weights(_state([2, 5, 3], [4, 4, 4]))
    rule = masking.make_rule("weighted", log_weights=logs, temperature=temperature)
    draw = jax.jit(lambda keys: masking.draw(rule, keys, (3,), 1).is_masked)
    is_masked = np.asarray(draw(jax.random.split(jax.random.key(0), rows)))
    assert (is_masked.sum(axis=1) == 1).all()
    expected = np.asarray(expected)
    error = np.sqrt(expected * (1 - expected) / rows)
    assert (abs(is_masked.mean(axis=0) - expected) <= 4.5 * error).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: running.init(0), "0 entries: there must be at least 1"),
        (
            lambda: running.statistics(jnp.ones(2), jnp.ones(2, bool), ids=jnp.ones(2, jnp.int32)),
            "ids without num_entries",
        ),
        (
            lambda: running.statistics(jnp.ones(2), jnp.ones(2, bool), num_entries=2),
            "num_entries 2 without ids",
        ),
        (
            lambda: running.apply(
                running.init(2), running.LossStatistics(jnp.ones(2), jnp.ones(2)), decay=1.5
            ),
            "decay 1.5 must be from 0 to 1",
        ),
        (lambda: running.log_weights(running.init(2), floor=0), "floor 0 must be above 0"),
    ],
)
def test_arguments_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(1, 3), (2, 1), (3,)])
def test_flags_that_would_broadcast_are_refused(shape):
    flags, full = jnp.ones(shape, bool), jnp.ones((2, 3), bool)
    ids = jnp.zeros((2, 3), jnp.int32)
    for count in (
        lambda: running.statistics(jnp.ones((2, 3)), flags),
        lambda: amlm.statistics(ids, full, flags, num_entries=2),
        lambda: amlm.statistics(ids, flags, full, num_entries=2),
        lambda: token_frequencies.statistics(ids, flags, num_entries=2),
        lambda: labels.statistics(full, flags),
    ):
        with pytest.raises(ValueError, match="of shape"):
            count()
