"""Regions as sets of pixels: union, intersection, difference."""

import functools

import jax.numpy as jnp

from maskjax.masking.regions.checks import as_regions
from maskjax.typing import Array, Bool


def union(*regions: Bool[Array, "*b H W"]) -> Bool[Array, "*b H W"]:
    """The pixels in any of the regions; of a stack [N, H, W], `stack.any(axis=-3)`.

    Args:
        *regions: one or more.

    Returns:
        True = inside.

    Raises:
        ValueError: no region, or regions of different shapes.

    Examples:
        >>> a, b = jnp.array([[1, 1, 0]], bool), jnp.array([[0, 1, 1]], bool)
        >>> union(a, b).astype(int).tolist()
        [[1, 1, 1]]
    """
    return functools.reduce(jnp.logical_or, _all(regions))


def intersection(*regions: Bool[Array, "*b H W"]) -> Bool[Array, "*b H W"]:
    """The pixels in all of the regions; of a stack [N, H, W], `stack.all(axis=-3)`.

    Args:
        *regions: one or more.

    Returns:
        True = inside.

    Raises:
        ValueError: no region, or regions of different shapes.

    Examples:
        >>> a, b = jnp.array([[1, 1, 0]], bool), jnp.array([[0, 1, 1]], bool)
        >>> intersection(a, b).astype(int).tolist()
        [[0, 1, 0]]
    """
    return functools.reduce(jnp.logical_and, _all(regions))


def difference(*regions: Bool[Array, "*b H W"]) -> Bool[Array, "*b H W"]:
    """The pixels in the first region and in none of the others.

    Args:
        *regions: one or more.

    Returns:
        True = inside.

    Raises:
        ValueError: no region, or regions of different shapes.

    Examples:
        >>> a, b = jnp.array([[1, 1, 0]], bool), jnp.array([[0, 1, 1]], bool)
        >>> difference(a, b).astype(int).tolist()
        [[1, 0, 0]]
    """
    return functools.reduce(lambda first, other: first & ~other, _all(regions))


def _all(regions: tuple[Array, ...]) -> tuple[Array, ...]:
    """The regions as arrays; refuses none, and those that do not match."""
    if not regions:
        raise ValueError("no regions: give at least one")
    return as_regions(**{f"region {i}": region for i, region in enumerate(regions)})
