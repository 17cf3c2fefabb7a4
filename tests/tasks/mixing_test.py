"""Mixup and CutMix: shares that add up, boxes by their definition, partners that stay together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.tasks.mixing import Mixing, boxes, make_mixing, partners

SIZE = 400
KEYS = jax.random.split(jax.random.key(3), SIZE)
VALID = jnp.ones(SIZE, bool)


@pytest.fixture(scope="module")
def mixed():
    """`mixed(mixup=1.0)`: what is left of each example's own input [B, H, W] and target [B]."""

    def mixed(shape=(9, 6), is_valid=VALID, **options):
        # Every input holds its row's number, and the targets are the rows themselves.
        numbers = jnp.arange(SIZE, dtype=jnp.float32)
        inputs = jnp.broadcast_to(numbers.reshape(-1, 1, 1, 1), (SIZE, *shape, 1))
        mix = jax.jit(lambda *args: Mixing(**options)(*args))
        out, targets = mix(inputs, jnp.eye(SIZE), KEYS, is_valid)
        own, other = np.arange(SIZE), np.arange(SIZE) ^ 1
        share = (np.asarray(out)[..., 0] - other[:, None, None]) / (own - other)[:, None, None]
        targets = np.asarray(targets)
        np.testing.assert_allclose(targets[own, own] + targets[own, other], 1, rtol=1e-6)
        return share, targets[own, own]

    return mixed


def test_mixup_keeps_a_share_of_input_and_target_that_is_drawn_from_beta(mixed):
    inputs, targets = mixed(mixup=0.8)
    np.testing.assert_allclose(
        inputs, np.broadcast_to(targets[:, None, None], inputs.shape), atol=1e-4
    )
    assert targets.mean() == pytest.approx(0.5, abs=4 * (0.0962 / SIZE) ** 0.5)
    # The variance of Beta(a, a) is 1 / (4 (2 a + 1)).
    assert targets.var() == pytest.approx(1 / (4 * 2.6), rel=0.15)
    assert len(np.unique(targets)) > 0.9 * SIZE  # each example has a share of its own


def test_cutmix_pastes_a_box_and_counts_what_is_left(mixed):
    inputs, targets = mixed(cutmix=1.0)
    inputs = np.rint(inputs)
    assert set(np.unique(inputs)) == {0, 1}
    np.testing.assert_allclose(targets, inputs.mean((1, 2)), rtol=1e-6)  # not the share drawn
    for box in inputs == 0:  # one rectangle
        np.testing.assert_array_equal(box, np.outer(box.any(1), box.any(0)))
        assert all((np.diff(np.flatnonzero(side)) == 1).all() for side in (box.any(0), box.any(1)))
    assert 0.3 < (targets < 0.9).mean() < 0.9


@pytest.mark.parametrize("shape", [(10,), (8, 6), (4, 6, 5)])
@pytest.mark.parametrize("own", [0.0, 0.3, 0.71, 1.0])
def test_boxes_have_the_published_sides_but_where_the_border_cuts_them(shape, own):
    found = np.asarray(boxes(KEYS, jnp.full(SIZE, own), shape))
    for axis, size in enumerate(shape):
        side = 2 * (int(size * (1 - own) ** (1 / len(shape))) // 2)
        others = tuple(i + 1 for i in range(len(shape)) if i != axis)
        here = found.any(others) if others else found
        low, high = here.argmax(1), size - here[:, ::-1].argmax(1)
        extent = np.where(here.any(1), high - low, 0)
        is_whole = extent == side
        assert (is_whole | ((extent < side) & ((low == 0) | (high == size)))).all()
        centres = min(size - 1, size - side // 2) - side // 2 + 1  # that leave a box whole
        assert is_whole.mean() == pytest.approx(centres / size, abs=0.1)
        if 0 < side < size:
            assert len(np.unique(low)) > size // 2  # the centre moves


def test_with_both_an_example_has_one_of_them_and_probability_leaves_some_alone(mixed):
    inputs, targets = mixed(mixup=1.0, cutmix=1.0, switch=0.25, probability=0.5)
    is_alone = targets == 1
    is_blended = ((inputs > 0.02) & (inputs < 0.98)).all((1, 2)) & ~is_alone
    # Half are mixed, three quarters of them blended; a box may also be empty.
    assert is_blended.mean() == pytest.approx(0.375, abs=0.08)
    assert 0.5 - 0.08 < is_alone.mean() < 0.6 + 0.08


def test_the_partner_of_padding_stays_as_it_is(mixed):
    is_valid = jnp.arange(SIZE) != 7
    _, targets = mixed(mixup=0.8, is_valid=is_valid)
    _, without = mixed(mixup=0.8)
    assert targets[6] == 1
    np.testing.assert_array_equal(np.delete(targets, 6), np.delete(without, 6))


def test_partners_are_neighbours():
    np.testing.assert_array_equal(partners(jnp.arange(8)), np.arange(8) ^ 1)


def test_what_is_off_mixes_nothing():
    assert not Mixing().is_on
    assert not Mixing(mixup=1.0, probability=0.0).is_on
    assert Mixing(cutmix=1.0).is_on


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mixup", -0.1, "mix.mixup -0.1 must be at least 0, which is off"),
        ("cutmix", float("inf"), "mix.cutmix inf must be at least 0"),
        ("switch", 1.5, "mix.switch 1.5 must be from 0 to 1"),
        ("probability", float("nan"), "mix.probability nan must be from 0 to 1"),
    ],
)
def test_numbers_out_of_range_are_refused(name, value, message):
    options = {"mixup": 0.8, "cutmix": 1.0, "switch": 0.5, "probability": 1.0, name: value}
    with pytest.raises(ValueError, match=message):
        make_mixing(options)
