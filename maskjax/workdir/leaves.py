"""The leaves of a state by name, as checkpoints keep them and hashes go through them."""

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import serialization

from maskjax.masking.parameters import leaf_paths
from maskjax.typing import Params, PyTree


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """Flatten a pytree to `path/of/the/leaf -> leaf`, sorted by path.

    Example:
        >>> named_leaves({"b": {"x": 1}, "a": [2, 3]})
        {'a/0': 2, 'a/1': 3, 'b/x': 1}
    """
    return dict(sorted(zip(leaf_paths(tree), jax.tree.leaves(tree), strict=True)))


def with_leaves(state: PyTree, leaves: Mapping[str, Any]) -> PyTree:
    """Put leaves, by the names of `named_leaves`, into the places of a state's own."""
    tree = serialization.to_state_dict(state)
    found = [leaves[name] for name in leaf_paths(tree)]
    return serialization.from_state_dict(state, jax.tree.unflatten(jax.tree.structure(tree), found))


def params_sha256(params: Params) -> str:
    """Hash parameters: SHA-256 over each leaf's path, dtype, shape and bytes, in order of path.

    Args:
        params: pytree of arrays.

    Returns:
        64 hexadecimal digits; equal for two runs exactly when every parameter is bitwise equal.
    """
    digest = hashlib.sha256()
    for name, leaf in named_leaves(params).items():
        array = np.ascontiguousarray(leaf)
        digest.update(f"{name} {array.dtype} {np.shape(leaf)}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
