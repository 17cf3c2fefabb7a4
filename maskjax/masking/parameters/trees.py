"""Trees of weights beside trees of masks, which have None for leaves that are never hidden."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from maskjax.typing import Array, PyTree


def trained(trains: str, mask: Array, has_begun: Array) -> Array | None:
    """Flags or factors of what trains; None for all.

    Args:
        trains: see `Hides`.
        mask: of a leaf, True or above 0 for what is kept.
        has_begun: whether anything is hidden yet.
    """
    if trains == "all":
        return None
    if trains == "kept":
        return mask
    return ~(mask & has_begun) if mask.dtype == bool else jnp.where(has_begun, 1 - mask, 1.0)


def times(leaf: Array, mask: Array) -> Array:
    """What is kept of a leaf: exactly zero where nothing is, whatever stands there.

    Args:
        leaf: weights.
        mask: True or, as the factor of soft masks, above 0 for what is kept.
    """
    if mask.dtype == bool:
        return jnp.where(mask, leaf, jnp.zeros_like(leaf))
    return jnp.where(mask > 0, leaf * mask.astype(leaf.dtype), jnp.zeros_like(leaf))


def forgotten(opt_state: PyTree, like: Any, masks: PyTree, when: Any) -> PyTree:
    """An optimizer's state in which the moments of hidden weights are zero.

    So are then those of weights that return.

    Args:
        opt_state: of any optimizer; its trees that have the structure `like` are moments.
        like: structure of a gradient.
        masks: True or above 0 for what is kept.
        when: whether to do so.
    """
    is_moments = lambda x: jax.tree.structure(x) == like  # noqa: E731

    def forget(moment: Array, mask: Array) -> Array:
        is_kept = mask > 0 if when is True else (mask > 0) | ~when
        return jnp.where(is_kept, moment, jnp.zeros_like(moment))

    clean = lambda x: masked(forget, x, masks) if is_moments(x) else x  # noqa: E731
    return jax.tree.map(clean, opt_state, is_leaf=is_moments)


def where(flag: Array, new: PyTree, old: PyTree) -> PyTree:
    """The one tree or the other."""
    return jax.tree.map(lambda a, b: jnp.where(flag, a, b), new, old)


def masked(function: Callable[..., Any], tree: PyTree, *trees: PyTree) -> PyTree:
    """Map `function(leaf, *leaves)` where the second tree has a leaf; others stay as they are."""
    apply = lambda leaf, *others: leaf if others[0] is None else function(leaf, *others)  # noqa: E731
    return jax.tree.map(apply, tree, *trees, is_leaf=lambda x: x is None)
