"""What share of each leaf is hidden: uniform or ERK over leaves, cubic over steps, as counts."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.checks import as_array, check_number, check_whole, is_number
from maskjax.masking.parameters.paths import leaves_like
from maskjax.typing import Array, Float, Int, PyTree

# From the way that is gone, 0 to 1, to the part of the whole sparsity.
BENDS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda p: p,
    "cosine": lambda p: 0.5 * (1 - jnp.cos(jnp.pi * p)),
    "cubic": lambda p: 1 - (1 - p) ** 3,
}


def uniform(params: PyTree, is_eligible: PyTree, *, sparsity: int | float) -> PyTree:
    """The same share of every eligible leaf.

    Args:
        params: arrays.
        is_eligible: one flag per leaf (`eligible`).
        sparsity: hidden share, 1 - density, at least 0 and below 1.

    Returns:
        The tree with the sparsity of each eligible leaf, and None for the others.

    Raises:
        ValueError: a sparsity outside [0, 1).

    Examples:
        >>> params = {"kernel": jnp.zeros((4, 2)), "bias": jnp.zeros(2)}
        >>> uniform(params, {"kernel": True, "bias": False}, sparsity=0.5)
        {'bias': None, 'kernel': 0.5}
    """
    _check(sparsity)
    flags = leaves_like("is_eligible", is_eligible, "params", params)
    shares = [float(sparsity) if flag else None for flag in flags]
    return jax.tree.structure(params).unflatten(shares)


def erk(params: PyTree, is_eligible: PyTree, *, sparsity: int | float) -> PyTree:
    """Erdos-Renyi-Kernel: the larger a leaf, the sparser.

    Evci et al. 2020 (RigL, section 3, item 1): the density of a leaf is in proportion to the sum of
    its shape over the product of its shape. Where that exceeds 1 the leaf is dense and the others
    take what is left, so that the whole has the given sparsity.

    Args:
        params: arrays, of which the shapes count.
        is_eligible: one flag per leaf (`eligible`).
        sparsity: hidden share of all eligible weights together, at least 0 and below 1.

    Returns:
        The tree with the sparsity of each eligible leaf, and None for the others.

    Raises:
        ValueError: a sparsity outside [0, 1).

    Examples:
        >>> params = {"small": jnp.zeros((2, 2)), "large": jnp.zeros((6, 6))}
        >>> erk(params, {"small": True, "large": True}, sparsity=0.5)  # 4 + 16 of 40 are kept
        {'large': 0.5555555555555556, 'small': 0.0}
    """
    _check(sparsity)
    leaves, structure = jax.tree.flatten(params)
    chosen = [
        i
        for i, flag in enumerate(leaves_like("is_eligible", is_eligible, "params", params))
        if flag
    ]
    shapes = {i: leaves[i].shape or (1,) for i in chosen}
    sizes = {i: math.prod(shape) for i, shape in shapes.items()}
    budget = (1 - sparsity) * sum(sizes.values())
    densities = dict.fromkeys(chosen, 1.0)
    free = chosen
    while free:
        factor = budget / sum(sum(shapes[i]) for i in free)
        densities |= {i: factor * sum(shapes[i]) / sizes[i] for i in free}
        dense = [i for i in free if densities[i] > 1]
        if not dense:
            break
        densities |= dict.fromkeys(dense, 1.0)
        budget -= sum(sizes[i] for i in dense)
        free = [i for i in free if i not in dense]
    return structure.unflatten(
        [1 - densities[i] if i in densities else None for i in range(len(leaves))]
    )


def cubic(
    step: int | Int[Array, "*b"], *, sparsity: PyTree, start_step: int, end_step: int
) -> PyTree:
    """Sparsity that rises fast at first and slowly in the end: s (1 - (1 - p)^3).

    Zhu & Gupta 2018 (To Prune, or Not to Prune, section 3, equation 1) from an initial sparsity of
    0; p is the share of the way from `start_step` to `end_step`.

    Args:
        step: training step, or several; may be traced.
        sparsity: at the end, a number or a tree of them (`uniform`, `erk`).
        start_step: sparsity is 0 up to here.
        end_step: and the given one from here on; after `start_step`.

    Returns:
        Float32 in place of each number.

    Raises:
        ValueError: an end that is not after the start, or a static sparsity outside [0, 1).

    Examples:
        >>> [cubic(step, sparsity=0.5, start_step=10, end_step=20).item() for step in (9, 15, 20)]
        [0.0, 0.4375, 0.5]
    """
    check_whole("start_step", start_step, least=None)
    check_whole("end_step", end_step, least=None)
    for final in jax.tree.leaves(sparsity):
        if not isinstance(final, Array):
            _check(final)
    if end_step <= start_step:
        raise ValueError(f"end_step {end_step} must come after start_step {start_step}")
    progress = (as_array("step", step).astype(jnp.float32) - start_step) / (end_step - start_step)
    reached = BENDS["cubic"](jnp.clip(progress, 0, 1))
    return jax.tree.map(lambda final: final * reached, sparsity)


def num_masked_from_sparsity(
    size: int, sparsity: int | float | Float[Array, ""]
) -> int | Int[Array, ""]:
    """How many of `size` weights a sparsity hides: `size * sparsity`, rounded, halves up.

    The sparsity is read as a float32 to 7 decimal places, which is the number that was written
    where it has no more of them, and the product is exact: static and traced sparsities give the
    same count for any size. It differs from `num_masked_from_ratio`, which rounds what is kept
    down.

    Args:
        size: number of weights, from 1 to 2^31 - 1.
        sparsity: hidden share. Static, at least 0 and below 1; a traced one is clipped to [0, 1].

    Returns:
        A count from 0 to `size`; an int for a static sparsity.

    Raises:
        ValueError: a size or a static sparsity out of range.

    Examples:
        >>> num_masked_from_sparsity(5, 0.7), num_masked_from_sparsity(5, jnp.float32(0.7))
        (4, Array(4, dtype=int32))
    """
    check_whole("size", size, hint=" weight")
    if size >= 2**31:
        raise ValueError(f"{size} weights: the cut takes from 1 to {2**31 - 1}")
    if is_number(sparsity) and not isinstance(sparsity, Array):
        _check(sparsity)
        places = round(float(np.float32(sparsity)) * 2**24)
        return (size * (places * 5**7 + 2**16 >> 17) + 10**7 // 2) // 10**7
    sparsity = as_array("sparsity", sparsity)
    if not jnp.issubdtype(sparsity.dtype, jnp.floating):
        raise ValueError(f"sparsity holds {sparsity.dtype}: give a share of 1, a float")
    share = jnp.clip(sparsity.astype(jnp.float32), 0, 1)
    places = jnp.round(share * 2**24).astype(jnp.uint32)
    # By digits, for products of 41 and 55 bits have no dtype: first places * 10^7 / 2^24, rounded.
    decimal = (places >> 12) * 5**7 + ((places & 4095) * 5**7 + 2**16 >> 12) >> 5
    # Then size * decimal / 10^7, rounded.
    thousands, units = decimal // 1000, decimal % 1000
    whole, rest = (np.uint32(part) for part in divmod(size, 10**7))
    high, low = (np.uint32(part) for part in divmod(int(rest), 10**4))
    middle = 10 * high * units + low * thousands + low * units // 1000
    return (whole * decimal + high * thousands + (middle + 5000) // 10**4).astype(jnp.int32)


def _check(sparsity: int | float) -> None:
    sparsity = check_number("sparsity", sparsity)
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity {sparsity} must be at least 0 and below 1, for example 0.9")
