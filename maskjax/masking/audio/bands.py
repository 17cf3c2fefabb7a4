"""Rules that hide bands of a spectrogram: whole frames and whole frequencies."""

import jax
import jax.numpy as jnp

from maskjax.masking.audio.common import real_along, scores_of_chosen, spread
from maskjax.masking.checks import check_number, check_whole
from maskjax.masking.core import cut_counts, grid_length
from maskjax.masking.registry import register
from maskjax.typing import Array, Bool, Float, Int, Key

# A float32 count that exceeds a whole number by less than this is that number.
_ROUNDING = 1e-4


@register("spec_augment", on=("audio",), chooses=True)
def spec_augment(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    num_time_masks: int = 2,
    max_time_width: int = 100,
    max_time_share: int | float = 1.0,
    num_frequency_masks: int = 2,
    max_frequency_width: int = 27,
    is_candidate: Bool[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides bands of consecutive frames and of consecutive frequencies, of random width.

    Park et al. 2019 (SpecAugment, section 2), without its time warping; the defaults are its policy
    LD. A time mask has a width t ~ U[0, min(T, p tau)) of the tau real frames, a frequency mask
    f ~ U[0, F) of the nu frequencies, rounded down; where it starts is uniform over all tau - t + 1
    (nu - f + 1) places. The paper's half-open [0, tau - t) over whole numbers never hides the last
    frame and the last frequency. Bands may overlap. Only frames: `num_frequency_masks=0`, or a grid
    with no frequency axis; only frequencies: `num_time_masks=0`.

    Args:
        key: drives the bands and the order within them and outside them.
        grid: (T,) or (T, ..., F).
        num_masked: not used: `draw_chosen` hides the bands, as published; `draw` and `draw_counts`
            fill up or trim to their count, at random.
        num_time_masks: m_T, at least 0.
        max_time_width: T, in frames, at least 1; a width is below it.
        max_time_share: p, in [0, 1]; a width is below that share of the row's real frames.
        num_frequency_masks: m_F, at least 0.
        max_frequency_width: F, in frequencies, at least 1; a width is below it.
        is_candidate: False for padding; the real frames are consecutive.

    Returns:
        U[1, 2) inside a band, U[0, 1) elsewhere, -inf where not a candidate.

    Raises:
        ValueError: a number of masks below 0, a largest width below 1 or a share outside [0, 1].

    Examples:
        >>> scores = spec_augment(jax.random.key(7), (4, 8), 0, num_time_masks=0)
        >>> is_chosen = (scores >= 1).reshape(4, 8)
        >>> bool((is_chosen == is_chosen[:1]).all())  # the same frequencies in all frames
        True
    """
    _check_bands(
        num_time_masks, max_time_width, max_time_share, num_frequency_masks, max_frequency_width
    )
    time_key, frequency_key, noise_key = jax.random.split(key, 3)
    is_chosen = jnp.zeros(grid_length(grid), bool)
    for axis, axis_key, num_bands, max_width, max_share in (
        (0, time_key, num_time_masks, max_time_width, max_time_share),
        (-1, frequency_key, num_frequency_masks, max_frequency_width, 1.0),
    ):
        if axis == 0 or len(grid) > 1:
            is_real = real_along(is_candidate, grid, axis)
            bands = _bands(axis_key, is_real, num_bands, max_width, max_share)
            is_chosen |= spread(bands, grid, axis)
    return scores_of_chosen(noise_key, is_chosen, is_candidate)


@register("time_frequency", on=("audio",), chooses=True)
def time_frequency(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    num_times: int | None = None,
    num_frequencies: int | None = None,
    is_candidate: Bool[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides randomly chosen whole time steps and whole frequencies of a grid of patches.

    Huang et al. 2022 (AudioMAE, section 3, "time + frequency"): a patch is hidden where its time
    or its frequency is, 1 - (1 - m_t)(1 - m_f). That hides T F - (T - n_t)(F - n_f) patches, and
    any other exact count trims them or adds patches at random.

    Args:
        key: drives both choices and the order within what is chosen and outside it.
        grid: (T, ..., F); on (T,) only times are hidden.
        num_masked: where both numbers are None, the budget: the same share of times and of
            frequencies is hidden, as many as hide no more patches than that; not used otherwise.
        num_times: n_t, from 0 to T; more than the real times of a row means all of them.
        num_frequencies: n_f, from 0 to F; give both numbers or neither.
        is_candidate: False for padding.

    Returns:
        U[1, 2) where chosen, U[0, 1) elsewhere, -inf where not a candidate.

    Raises:
        ValueError: one number without the other, a number outside the grid, or a static budget
            outside it.

    Examples:
        >>> scores = time_frequency(jax.random.key(1), (3, 5), 9, num_times=1, num_frequencies=2)
        >>> int((scores >= 1).sum())  # 3 * 5 - (3 - 1) * (5 - 2)
        9
    """
    if (num_times is None) != (num_frequencies is None):
        raise ValueError(
            f"num_times {num_times}, num_frequencies {num_frequencies}: give both or neither"
        )
    for name, number in (("num_times", num_times), ("num_frequencies", num_frequencies)):
        if number is not None:
            check_whole(name, number, least=None, hint=", or None for a share of the budget")
    num_frames, num_bands = grid[0], grid[-1]
    axes = (0, -1) if len(grid) > 1 else (0,)
    is_real = [real_along(is_candidate, grid, axis) for axis in axes]
    if num_times is None or num_frequencies is None:
        num_real = grid_length(grid) if is_candidate is None else is_candidate.sum()
        counts = _equal_shares(num_masked, num_real, is_real)
    elif 0 <= num_times <= num_frames and 0 <= num_frequencies <= num_bands:
        counts = [num_times, num_frequencies]
    else:
        raise ValueError(
            f"num_times {num_times}, num_frequencies {num_frequencies} exceed grid {grid} or are "
            "below 0"
        )
    noise_key, *axis_keys = jax.random.split(key, 3)
    is_chosen = jnp.zeros(grid_length(grid), bool)
    for axis, axis_key, is_there, count in zip(axes, axis_keys, is_real, counts):
        noise = jnp.where(is_there, jax.random.uniform(axis_key, is_there.shape), -jnp.inf)
        is_chosen |= spread(cut_counts(noise, jnp.asarray(count, jnp.int32)), grid, axis)
    return scores_of_chosen(noise_key, is_chosen, is_candidate)


def _check_bands(
    num_time_masks: int,
    max_time_width: int,
    max_time_share: int | float,
    num_frequency_masks: int,
    max_frequency_width: int,
) -> None:
    """Refuses options of `spec_augment` that are out of range."""
    check_whole("num_time_masks", num_time_masks, least=0)
    check_whole("num_frequency_masks", num_frequency_masks, least=0)
    check_whole("max_time_width", max_time_width)
    check_whole("max_frequency_width", max_frequency_width)
    max_time_share = check_number("max_time_share", max_time_share)
    if not 0 <= max_time_share <= 1:
        raise ValueError(f"max_time_share {max_time_share} must be from 0 to 1")


def _bands(
    key: Key[Array, ""],
    is_real: Bool[Array, "side"],
    num_bands: int,
    max_width: int,
    max_share: int | float,
) -> Bool[Array, "side"]:
    """The union of bands of random width and place among the real places of an axis."""
    num_real = is_real.sum(dtype=jnp.int32)
    draws = jax.random.uniform(key, (2, num_bands))
    widths = jnp.floor(
        draws[0] * jnp.minimum(max_width, max_share * num_real.astype(jnp.float32))
    ).astype(jnp.int32)
    room = (num_real - widths + 1).astype(jnp.float32)
    starts = jnp.floor(draws[1] * room).astype(jnp.int32) + jnp.argmax(is_real)
    places = jnp.arange(is_real.size)[:, None]
    return ((places >= starts[None]) & (places < (starts + widths)[None])).any(axis=1)


def _equal_shares(
    num_masked: int | Array, num_real: int | Array, is_real: list[Bool[Array, "_"]]
) -> list[Int[Array, ""]]:
    """How many places of each axis to hide so that all lose one share, within the budget."""
    num_real = jnp.asarray(num_real, jnp.float32)
    share_kept = 1 - jnp.asarray(num_masked, jnp.float32) / jnp.maximum(num_real, 1)
    num_axes = max(1, sum(flags.size > 1 for flags in is_real))
    share_kept = jnp.clip(share_kept, 0, 1) ** (1 / num_axes)
    counts = []
    for flags in is_real:
        num_there = flags.sum(dtype=jnp.int32)
        num_kept = jnp.ceil(num_there.astype(jnp.float32) * share_kept - _ROUNDING).astype(
            jnp.int32
        )
        counts.append(num_there - num_kept)
    return counts
