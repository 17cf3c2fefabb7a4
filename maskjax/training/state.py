"""What a training step carries from one step to the next; all of it is in the checkpoint."""

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from maskjax.typing import Array, Params, PyTree


@struct.dataclass
class TrainState:
    """The whole state of a run.

    The fields are untyped because the same structure also holds shapes and shardings.

    Attributes:
        step: number of steps done, int32 scalar; it also places the data and the learning rate.
        params: the trained parameters.
        opt_state: the optimizer's moments, as optax keeps them.
        ema_params: exponential moving average of `params`, or None where it is not asked for.
        nonfinite_total: steps skipped so far for a non-finite loss or gradient, int32 scalar.
        nonfinite_run: the same, in a row up to now, int32 scalar.
    """

    step: Any
    params: Any
    opt_state: Any
    ema_params: Any
    nonfinite_total: Any
    nonfinite_run: Any

    @property
    def eval_params(self) -> Any:
        """The parameters to judge: the moving average where there is one."""
        return self.params if self.ema_params is None else self.ema_params


def create_state(
    init: Any, optimizer: optax.GradientTransformation, key: Array, *, with_ema: bool = False
) -> TrainState:
    """Make the state of step 0 in one compiled program.

    Args:
        init: `init(key) -> params`, usually `task.init`.
        optimizer: whose state is laid out for these parameters.
        key: PRNG key of the initialisation.
        with_ema: keep a moving average, which starts as a copy of the parameters.

    Returns:
        The state, on the default device.
    """

    def create(key: Array) -> TrainState:
        params = init(key)
        return TrainState(
            step=jnp.int32(0),
            params=params,
            opt_state=optimizer.init(params),
            ema_params=jax.tree.map(jnp.copy, params) if with_ema else None,
            nonfinite_total=jnp.int32(0),
            nonfinite_run=jnp.int32(0),
        )

    return jax.jit(create)(key)


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """Flatten a pytree to `path/of/the/leaf -> leaf`, sorted by path.

    Example:
        >>> named_leaves({"b": {"x": 1}, "a": [2, 3]})
        {'a/0': 2, 'a/1': 3, 'b/x': 1}
    """
    return dict(sorted(zip(leaf_paths(tree), jax.tree.leaves(tree), strict=True)))


def leaf_paths(tree: PyTree) -> list[str]:
    """Name the leaves of a pytree as `named_leaves` does, in JAX's order."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]


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
