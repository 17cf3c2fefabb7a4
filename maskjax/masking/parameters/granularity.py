"""What is hidden as one: single weights, blocks, rows, neurons, heads."""

import math
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.parameters.paths import leaf_paths
from maskjax.typing import Array, PyTree

# Kernels of one attention layer; those of "out" read what heads give.
HEADS = r"(^|/)(query|key|value|out)/kernel$"


class Groups(NamedTuple):
    """How the weights of a leaf are grouped.

    Attributes:
        pool: scores of the weights -> the mean score of each group.
        spread: an array with a number a group -> the same for each weight.
    """

    pool: Callable[[Array], Array]
    spread: Callable[[Array], Array]


def groups_of(granularity: str, path: str, shape: tuple[int, ...], tile: int, heads: int) -> Groups:
    """Group the weights of a leaf.

    Args:
        granularity: "entry"; "block": tiles of `tile` along each axis, cut off at the end; "row":
            what reads one input; "neuron": what makes one output; "head": what reads, or makes, one
            head of an attention layer.
        path: of the leaf.
        shape: of the leaf; Linen's kernels are [..., inputs, outputs].
        tile: of "block".
        heads: of "head".

    Returns:
        The groups.

    Raises:
        ValueError: a leaf without rows, or that heads do not divide.
    """
    if granularity == "entry":
        return Groups(lambda scores: scores, lambda values: values)
    if granularity == "block":
        return _tiles(shape, tuple(min(tile, side) for side in shape))
    if len(shape) < 2 and granularity != "head":
        raise ValueError(
            f"{path} of shape {shape} has no {granularity}s: name it, and others alike, in "
            f"param_masks.exclude, as ({path.rpartition('/')[2] + '$'!r},)"
        )
    axis = len(shape) - (1 if granularity == "neuron" else 2)
    if granularity == "head":
        axis = len(shape) - (2 if path.endswith("out/kernel") else 1)
        if len(shape) < 2 or shape[axis] % heads or not re.search(HEADS, path):
            raise ValueError(
                f"{path} of shape {shape} has no {heads} heads: set param_masks.num_heads to "
                "those of the model, and param_masks.include to its attention's kernels, as "
                "('attn/(query|key|value|out)/kernel$',)"
            )
    sides = [1 if i == axis else side for i, side in enumerate(shape)]
    if granularity == "head":
        sides[axis] = shape[axis] // heads
    groups = _tiles(shape, tuple(sides))
    return Groups(
        lambda scores: groups.pool(scores).reshape(-1),
        lambda values: groups.spread(values.reshape([a // b for a, b in zip(shape, sides)])),
    )


def _tiles(shape: tuple[int, ...], sides: tuple[int, ...]) -> Groups:
    """Tiles of such sides; the last along an axis may be smaller."""
    counts = tuple(-(-length // side) for length, side in zip(shape, sides))

    def pool(scores: Array) -> Array:
        sums = scores
        for axis, (side, length) in enumerate(zip(sides, shape)):
            padding = [(0, -length % side if i == axis else 0) for i in range(len(shape))]
            split = (*sums.shape[:axis], -1, side, *sums.shape[axis + 1 :])
            sums = jnp.pad(sums, padding).reshape(split).sum(axis=axis + 1)
        in_tile = [
            np.minimum(side, length - side * np.arange(count))
            for side, length, count in zip(sides, shape, counts)
        ]
        sizes = math.prod(np.ix_(*in_tile)) if shape else np.float32(1)
        return sums / jnp.asarray(sizes, scores.dtype)

    def spread(values: Array) -> Array:
        for axis, (side, length) in enumerate(zip(sides, shape)):
            values = jnp.take(values, np.arange(length) // side, axis=axis)
        return values

    return Groups(pool, spread)


def same_in_layer(scores: PyTree) -> PyTree:
    """The mean score of each head over the kernels of its attention layer, for each of these.

    Args:
        scores: [H] of each kernel, None for other leaves.
    """
    means = {layer: sum(x[1:], x[0]) / len(x) for layer, x in _by_layer(scores).items()}
    return _of_layers(means, scores)


def once_a_layer(cut: Callable[[PyTree], PyTree], scores: PyTree) -> PyTree:
    """Cut heads of attention layers, each of them once, for all kernels of its layer.

    Args:
        cut: scores of heads by layer -> True for what is kept.
        scores: from `same_in_layer`.

    Returns:
        Flags of each kernel, None for other leaves.
    """
    return _of_layers(cut({layer: found[0] for layer, found in _by_layer(scores).items()}), scores)


def _by_layer(tree: PyTree) -> dict[str, list[Array]]:
    """The leaves of each attention layer."""
    layers: dict[str, list[Array]] = {}
    for path, leaf in zip(leaf_paths(tree), jax.tree.leaves(tree)):
        layers.setdefault(_layer(path), []).append(leaf)
    return layers


def _of_layers(values: Mapping[str, Array], tree: PyTree) -> PyTree:
    """A value a layer in place of each leaf of a tree."""
    return jax.tree.structure(tree).unflatten([values[_layer(path)] for path in leaf_paths(tree)])


def _layer(path: str) -> str:
    return re.sub(HEADS, "", path)
