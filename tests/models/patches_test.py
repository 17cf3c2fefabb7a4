"""Patches and positions against slow loops and the published fixture."""

import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.models.patches import grid_shape, patchify, sincos_positions, unpatchify

CASES = [
    ((12, 2), (3,)),
    ((8, 12, 3), (4, 2)),
    ((8, 8, 1), (2, 2)),
    ((4, 6, 8, 2), (2, 3, 4)),
    ((2, 4, 2, 4, 5), (1, 2, 2, 4)),
]


def slow_patchify(x, patch_size):
    grid = [n // p for n, p in zip(x.shape[1:-1], patch_size, strict=True)]
    rows = []
    for place in np.ndindex(*grid):
        window = tuple(slice(i * p, (i + 1) * p) for i, p in zip(place, patch_size, strict=True))
        rows.append(x[(slice(None), *window)].reshape(len(x), -1))
    return np.stack(rows, axis=1)


@pytest.mark.parametrize(("shape", "patch_size"), CASES)
def test_patchify_equals_the_slow_loop(shape, patch_size):
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    np.testing.assert_array_equal(
        patchify(jnp.asarray(x), patch_size), slow_patchify(x, patch_size)
    )


@pytest.mark.parametrize(("shape", "patch_size"), CASES)
def test_unpatchify_is_the_inverse(shape, patch_size):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32))
    np.testing.assert_array_equal(unpatchify(patchify(x, patch_size), shape, patch_size), x)


def test_grid_counts_patches_an_axis():
    assert grid_shape((224, 112, 3), (16, 16)) == (14, 7)


def test_a_side_that_does_not_divide_names_the_ones_that_do():
    with pytest.raises(
        ValueError, match=r"patch side 5 .* axis 1 of size 12: .*\[1, 2, 3, 4, 6, 12\]"
    ):
        grid_shape((10, 12, 3), (5, 5))


def test_a_patch_of_another_rank_is_refused():
    with pytest.raises(ValueError, match=r"has 2 sides, but an example of shape \(16, 1\)"):
        grid_shape((16, 1), (4, 4))


def test_sincos_equals_the_published_fixture():
    table = sincos_positions((14, 14), 768)
    assert table.shape == (196, 768)
    np.testing.assert_allclose(table[1, [0, 384]], [0.841471, 0], atol=1e-6)
    np.testing.assert_allclose(table[14, [0, 384]], [0, 0.841471], atol=1e-6)
    np.testing.assert_allclose(table.astype(np.float64).sum(), 69594.4939, atol=1e-2)


def test_sincos_of_one_axis_is_that_of_the_transformer():
    table = sincos_positions((9,), 8)
    for position in range(9):
        for i in range(4):
            angle = position / 10000 ** (i / 4)
            np.testing.assert_allclose(table[position, i], np.sin(angle), atol=1e-6)
            np.testing.assert_allclose(table[position, 4 + i], np.cos(angle), atol=1e-6)


def test_sincos_of_three_axes_tells_every_position_apart():
    table = sincos_positions((2, 3, 4), 32)
    assert table.shape == (24, 32)
    assert len(np.unique(table.round(5), axis=0)) == 24
    assert not table[:, 30:].any()  # 32 = 3 axes x 2 x 5 frequencies, and 2 left over


def test_sincos_too_narrow_is_refused():
    with pytest.raises(ValueError, match="width 3 is too small"):
        sincos_positions((4, 4), 3)
