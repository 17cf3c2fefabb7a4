"""Rules that score the positions of a grid of any rank: one example, (key, grid) -> scores."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from maskjax.masking.checks import (
    as_integers,
    check_number,
    check_whole,
    per_axis,
    per_position,
)
from maskjax.masking.core import grid_length
from maskjax.masking.registry import make_rule, missing_options, name_of, needs_step, register
from maskjax.typing import Array, Bool, Float, Int, Key


@register("random", on=("image", "text", "audio", "sequence", "weights"))
def random(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    noise: Float[Array, "L"] | None = None,
) -> Float[Array, "L"]:
    """Hides positions uniformly at random.

    He et al. 2022 (MAE, section 3). With the noise that another implementation used, the cut gives
    the same mask: both keep the smallest.

    Args:
        key: not used when noise is given.
        grid: positions along each axis.
        num_masked: not used.
        noise: one number per position, in place of U[0, 1).

    Returns:
        The noise.

    Raises:
        ValueError: noise of another length.

    Examples:
        >>> random(jax.random.key(0), (3,), 1, noise=jnp.array([0.5, 0.25, 0.75])).tolist()
        [0.5, 0.25, 0.75]
    """
    length = grid_length(grid)
    if noise is None:
        return jax.random.uniform(key, (length,))
    return per_position("noise", noise, grid)


@register("grid")
def grid(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    stride: int | tuple[int, ...] = 2,
) -> Float[Array, "L"]:
    """Keeps a regular lattice: every `stride`-th position along each axis, randomly shifted.

    He et al. 2022 (MAE, section 4.1 and figure 6, "grid" sampling), where the lattice does not
    shift. Stride 2 on a 2-D grid keeps a quarter, which is MAE's at ratio 0.75. At another count
    lattice points are hidden, or others kept, at random.

    Args:
        key: draws the shift and the order within the lattice and outside it.
        grid: positions along each axis.
        num_masked: not used.
        stride: distance between lattice points, for all axes or one per axis; at least 1. An axis
            shorter than its stride has one lattice point.

    Returns:
        U[0, 1) outside the lattice, U[-1, 0) on it.

    Raises:
        ValueError: a stride below 1, or not one per axis.

    Examples:
        >>> lattice = (grid(jax.random.key(0), (4, 4), 12) < 0).reshape(4, 4)
        >>> lattice.any(axis=0).sum().item(), lattice.any(axis=1).sum().item()
        (2, 2)
    """
    strides = per_axis("stride", stride, grid)
    steps = np.minimum(strides, grid)
    shift_key, noise_key = jax.random.split(key)
    shifts = jax.random.randint(shift_key, (len(grid),), 0, steps)
    on_lattice = every_axis(
        [(jnp.arange(side) - shifts[i]) % steps[i] == 0 for i, side in enumerate(grid)]
    )
    noise = jax.random.uniform(noise_key, (grid_length(grid),))
    return noise - on_lattice.reshape(-1).astype(noise.dtype)


@register("sliding", on=("image", "text", "audio", "sequence", "weights"))
def sliding(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    step: int | Int[Array, ""] | None = None,
    stride: int = 1,
    axis: int = -1,
) -> Float[Array, "L"]:
    """Hides one contiguous window that moves along an axis and wraps around.

    Positions are ordered along `axis` first and in raster order within each of its slices; the
    window is `num_masked` successive ones of that order. Its start is `step * stride`, the same for
    all examples, or uniform from the key where there is no step.

    Each position is hidden with probability num_masked / L where the start is uniform; over the
    steps it is hidden in that share of them if the window visits all starts equally often, as it
    does in every L successive steps where `stride` and L have no common divisor. In one step all
    examples hide the same positions. With positions that must stay visible (`is_candidate`) the
    window skips them, and the candidates that follow a gap are hidden more often.

    Args:
        key: draws the start where step is None.
        grid: positions along each axis, at most 2^24 in all.
        num_masked: not used.
        step: training step.
        stride: positions that the window moves in a step; the number of positions in a slice moves
            it by whole slices.
        axis: the axis that the window moves along.

    Returns:
        Minus the distance of each position behind the window's start.

    Raises:
        ValueError: an axis that the grid lacks, or too many positions.

    Examples:
        >>> scores = sliding(jax.random.key(0), (2, 3), 2, step=5)
        >>> scores.reshape(2, 3).tolist()  # starts at the last position and wraps
        [[-1.0, -3.0, -5.0], [-2.0, -4.0, 0.0]]
    """
    length = grid_length(grid)
    axis = check_number("axis", axis)
    if not -len(grid) <= axis < len(grid):
        raise ValueError(f"axis {axis} is not one of the {len(grid)} of grid {grid}")
    start = window_start(key, grid, step, stride)
    sides = np.moveaxis(np.empty(grid, bool), axis, 0).shape
    order = jnp.moveaxis(jnp.arange(length).reshape(sides), 0, axis).reshape(-1)
    return (-((order - start) % length)).astype(jnp.float32)


def window_start(
    key: Key[Array, ""], grid: tuple[int, ...], step: int | Int[Array, ""] | None, stride: int
) -> Int[Array, ""]:
    """Where a window starts: `step * stride`, wrapped around, or uniform where step is None."""
    length = grid_length(grid)
    if length > 2**24:  # float32 scores rank no more
        raise ValueError(
            f"grid {grid} has {length} positions; a sliding window takes at most {2**24}"
        )
    check_whole("stride", stride, least=None, hint=", positions a step")
    if step is None:
        return jax.random.randint(key, (), 0, length)
    if np.ndim(step := as_integers("step", step)):
        raise ValueError(f"step of shape {step.shape}: give one, the same for all examples")
    return _product_modulo(step, stride, length)


def _product_modulo(step: int | Array, stride: int, length: int) -> Array:
    """Multiply modulo length <= 2^24 in uint32: 7 bits of the stride at a time, highest first."""
    step, stride = jnp.asarray(step % length, jnp.uint32), stride % length
    product = jnp.uint32(0)
    for shift in (21, 14, 7, 0):
        product = (product * 128 + step * (stride >> shift & 127)) % length
    return product.astype(jnp.int32)


@register("tube")
def tube(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    space_rule: str | Callable[..., Array] = "random",
) -> Float[Array, "L"]:
    """Hides the same places at all times: a rule over space, repeated along axis 0.

    Tong et al. 2022 (VideoMAE, section 3.3). Tubes are hidden whole; where `num_masked` is not a
    multiple of the number of frames, one tube more is hidden in randomly chosen frames.

    Args:
        key: drives the spatial rule and the choice of those frames.
        grid: (time, *space), at least two axes.
        num_masked: of all positions; the spatial rule is asked for its share, rounded up.
        space_rule: name of a registered rule, or one from `make_rule` with all bound that it needs
            from outside: log_weights, which then are the same for all examples, or for "sliding"
            `step=None`, for a tube knows no step.

    Returns:
        The rank of each place by its spatial score, plus noise in [0, 0.5); -inf where that is.

    Raises:
        ValueError: a grid with one axis, or a spatial rule that is unknown or needs what is not
            bound.

    Examples:
        >>> scores = tube(jax.random.key(0), (2, 4, 4), 24)
        >>> hidden = jnp.sort(scores)[8]  # the smallest score that is hidden
        >>> frames = (scores >= hidden).reshape(2, 16)
        >>> bool((frames[0] == frames[1]).all())
        True
    """
    length = grid_length(grid)
    if len(grid) < 2:
        raise ValueError(f"tube needs a grid (time, *space), but grid {grid} has one axis")
    space_key, noise_key = jax.random.split(key)
    rule = make_rule(space_rule) if isinstance(space_rule, str) else space_rule
    needed = missing_options(rule, {}) + ["step"] * needs_step(rule)
    if needed:
        name = name_of(rule)
        bound = ", ".join(f"{option}={None if option == 'step' else '...'}" for option in needed)
        raise ValueError(
            f"the space_rule {name} of tube needs {', '.join(needed)}, which tube cannot pass on: "
            f"bind it, space_rule=make_rule({name!r}, {bound})"
        )
    scores = rule(space_key, grid[1:], -(-num_masked // grid[0]))
    # Ranks leave a known gap between places, so that noise decides within a tube and nowhere else.
    rank = jnp.argsort(jnp.argsort(scores, stable=True)).astype(scores.dtype)
    rank = jnp.where(scores == -jnp.inf, scores, rank)
    return jnp.tile(rank, grid[0]) + 0.5 * jax.random.uniform(noise_key, (length,))


@register("weighted", on=("image", "text", "audio", "sequence"))
def weighted(
    key: Key[Array, ""],
    grid: tuple[int, ...],
    num_masked: int | Int[Array, ""],
    *,
    log_weights: Float[Array, "L"],
    temperature: int | float | Float[Array, ""] = 1.0,
) -> Float[Array, "L"]:
    """Hides positions without replacement, in proportion to weights given from outside.

    The Gumbel-top-k trick (Kool et al. 2019, Stochastic Beams). The scores are `temperature` times
    the usual `log_weights / temperature + Gumbel`: the same order, and defined at temperature 0.

    The expected ratio of a position is not the same for all: the first position drawn is i with
    probability `w_i^(1 / temperature)` over their sum, and so is each next one among the rest. A
    heavier position is hidden more often, but by less than in proportion to its weight as the count
    grows; on average over all positions the ratio is that of the count.

    Args:
        key: draws the Gumbel noise.
        grid: positions along each axis.
        num_masked: not used.
        log_weights: logarithm of each position's weight, up to a constant; -inf is never hidden.
        temperature: finite, at least 0. 0 hides the largest weights, 1 draws by the weights, and
            the larger it is the nearer the draw is to uniform, which is the rule `random`.

    Returns:
        `log_weights + temperature * Gumbel`.

    Raises:
        ValueError: log_weights of another length, or a static temperature that is infinite or
            below 0.

    Examples:
        >>> log_weights = jnp.log(jnp.array([1.0, 4.0, 2.0]))
        >>> weighted(jax.random.key(0), (3,), 1, log_weights=log_weights, temperature=0).argmax()
        Array(1, dtype=int32)
    """
    log_weights = per_position("log_weights", log_weights, grid)
    if not isinstance(temperature, Tracer):
        temperature = check_number("temperature", temperature)
        if not 0 <= temperature < float("inf"):
            raise ValueError(f"temperature {temperature} must be finite and at least 0")
    noise = jax.random.gumbel(key, log_weights.shape)
    return log_weights.astype(noise.dtype) + jnp.asarray(temperature, noise.dtype) * noise


def every_axis(flags: list[Bool[Array, "_"]]) -> Bool[Array, "*grid"]:
    """True where the flags of all axes are: a box or lattice from its sides."""
    rank = len(flags)
    shaped = [
        flag.reshape((1,) * i + (-1,) + (1,) * (rank - 1 - i)) for i, flag in enumerate(flags)
    ]
    return functools.reduce(jnp.logical_and, shaped)
