"""The leaves of a state by name, as checkpoints keep them and hashes go through them."""

import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
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


def checksums(tree: PyTree) -> dict[str, int]:
    """CRC-32 of each array's bytes: Orbax restores one with flipped bits without complaint."""

    def checksum(array: Any) -> int:
        return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    return {name: checksum(array) for name, array in named_leaves(tree).items()}


def check_same(ours: Mapping[str, Any], theirs: Mapping[str, Any], place: Path) -> None:
    """Compare names, shapes and dtypes, because Orbax would cast and pad in silence.

    Args:
        ours: what is wanted, by the names of `named_leaves`.
        theirs: what a checkpoint has.
        place: of the checkpoint, for errors.

    Raises:
        ValueError: names what differs.
    """
    missing, extra = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    if missing or extra:
        raise ValueError(
            f"checkpoint {place} is of another model or optimizer: "
            f"it lacks {missing[:3] or 'nothing'} and has {extra[:3] or 'nothing'} besides"
        )
    for name, new in ours.items():
        old = theirs[name]
        if tuple(old.shape) != tuple(new.shape) or jnp.dtype(old.dtype) != jnp.dtype(new.dtype):
            raise ValueError(
                f"checkpoint {place} has {name} as {jnp.dtype(old.dtype)}{list(old.shape)}, "
                f"but this config makes it {jnp.dtype(new.dtype)}{list(new.shape)}"
            )
