"""What a training step carries from one step to the next; all of it is in the checkpoint."""

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization, struct

from maskjax.masking.parameters import leaf_paths
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
        memory: what the task remembers; () where it remembers nothing.
        watches: what was seen of the numbers that a run watches, by purpose (`watch`).
        nonfinite_total: steps skipped so far for a non-finite loss or gradient, int32 scalar.
        nonfinite_run: the same, in a row up to now, int32 scalar.
    """

    step: Any
    params: Any
    opt_state: Any
    ema_params: Any
    nonfinite_total: Any
    nonfinite_run: Any
    memory: Any = ()
    watches: Any = struct.field(default_factory=dict)

    @property
    def eval_params(self) -> Any:
        """The parameters to judge: the moving average where there is one."""
        return self.params if self.ema_params is None else self.ema_params


def create_state(task: Any, update: Any, key: Array, watches: Any) -> TrainState:
    """Make the state of step 0 in one compiled program.

    Args:
        task: its `init` makes the parameters, its `start` the memory.
        update: its `init` lays out the optimizer's state; with an `ema_decay` above 0 a moving
            average is kept, which starts as a copy of the parameters.
        key: PRNG key of the initialisation.
        watches: of step 0.

    Returns:
        The state, on the default device.
    """

    def create(key: Array) -> TrainState:
        params = task.init(key)
        return TrainState(
            step=jnp.int32(0),
            params=params,
            opt_state=update.init(params),
            ema_params=jax.tree.map(jnp.copy, params) if update.ema_decay > 0 else None,
            memory=task.start(),
            watches=watches,
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
