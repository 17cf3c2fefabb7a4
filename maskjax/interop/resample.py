"""Weights for inputs of another size or another number of channels."""

from collections.abc import Sequence

import numpy as np

from maskjax.typing import Float

CHANNELS = ("mean", "repeat", "first")


def resample_positions(
    table: Float[np.ndarray, "1 L D"], old: Sequence[int], new: Sequence[int], *, antialias: bool
) -> Float[np.ndarray, "1 M D"]:
    """Resample a table of positions to another grid, axis by axis.

    Both are bicubic with half-pixel centres, as PyTorch's `interpolate(align_corners=False)`.
    facebookresearch/mae and transformers take Keys' kernel with a = -0.75 and clamp at the border.
    timm takes `antialias=True`: a = -0.5, wider where the grid shrinks, and normalised at the
    border.

    Args:
        table: one row a position, in raster order, none for the class token.
        old: its grid, of any rank.
        new: the grid to have.
        antialias: timm's way.

    Returns:
        The table of the new grid, float32.
    """
    values = np.asarray(table, np.float64).reshape(*old, -1)
    for axis, (count, wanted) in enumerate(zip(old, new, strict=True)):
        weights = _antialiased(count, wanted) if antialias else _clamped(count, wanted)
        values = np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis)
    return values.reshape(1, -1, table.shape[-1]).astype(np.float32)


def _keys(x: np.ndarray, a: float) -> np.ndarray:
    """The bicubic kernel (Keys 1981, equation 8, with a free parameter a)."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _clamped(count: int, wanted: int) -> np.ndarray:
    """Weights [wanted, count]; what lies beyond the border counts as the border."""
    centres = (np.arange(wanted) + 0.5) * count / wanted - 0.5
    weights = np.zeros((wanted, count))
    for tap in range(-1, 3):
        places = np.floor(centres).astype(int) + tap
        np.add.at(
            weights,
            (np.arange(wanted), places.clip(0, count - 1)),
            _keys(centres - places, -0.75),
        )
    return weights


def _antialiased(count: int, wanted: int) -> np.ndarray:
    """Weights [wanted, count]; what lies beyond the border does not count."""
    width = max(count / wanted, 1.0)
    centres = (np.arange(wanted) + 0.5) * count / wanted
    offsets = np.arange(count)[None] + 0.5 - centres[:, None]
    weights = _keys(offsets / width, -0.5)
    return weights / weights.sum(1, keepdims=True)


def change_channels(
    kernel: Float[np.ndarray, "P D"], old: int, new: int, how: str
) -> Float[np.ndarray, "Q D"]:
    """Make the projection of patches of one number of channels that of another.

    Args:
        kernel: a row for each number of a patch, channel last.
        old: its channels.
        new: the channels to have.
        how: "mean": each new channel gets the mean of the old ones, times old / new; "repeat": the
            old ones in turn, times old / new; "first": the first ones as they are, and zero for
            those that there were not. A picture whose channels are all the same gives by "mean",
            and by "repeat" where new is a multiple of old, what it gave before. timm's `in_chans`
            is "mean" for one channel and "repeat" for several.

    Returns:
        The kernel for the new channels, float32.

    Raises:
        ValueError: `how` is none of these.
    """
    if how not in CHANNELS:
        raise ValueError(f"channels {how!r} is not known: use one of {CHANNELS}")
    parts = np.asarray(kernel, np.float32).reshape(-1, old, kernel.shape[-1])
    if how == "mean":
        parts = np.repeat(parts.mean(1, keepdims=True), new, axis=1) * np.float32(old / new)
    elif how == "repeat":
        parts = parts[:, np.arange(new) % old] * np.float32(old / new)
    else:
        parts = np.pad(parts[:, :new], ((0, 0), (0, max(new - old, 0)), (0, 0)))
    return np.ascontiguousarray(parts.reshape(-1, kernel.shape[-1]))
