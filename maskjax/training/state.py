"""What a training step carries from one step to the next; all of it is in the checkpoint."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from maskjax.typing import Array


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
        param_masks: which weights are hidden, and what that rests on; () where none are.
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
    param_masks: Any = ()

    @property
    def eval_params(self) -> Any:
        """The parameters to judge: the moving average where there is one."""
        return self.params if self.ema_params is None else self.ema_params


def create_state(task: Any, update: Any, key: Array, watches: Any, mask_key: Array) -> TrainState:
    """Make the state of step 0 in one compiled program.

    Args:
        task: its `init` makes the parameters, its `start` the memory.
        update: its `init` lays out the optimizer's state; with an `ema_decay` above 0 a moving
            average is kept, which starts as a copy of the parameters; its `masks`, where it has
            some, hide weights.
        key: PRNG key of the initialisation.
        watches: of step 0.
        mask_key: of parameter masks.

    Returns:
        The state, on the default device.
    """

    def create(key: Array) -> TrainState:
        params, param_masks = task.init(key), ()
        if update.masks is not None:
            params, param_masks = update.masks.begin(params, mask_key)
        return TrainState(
            step=jnp.int32(0),
            params=params,
            opt_state=update.init(params),
            ema_params=jax.tree.map(jnp.copy, params) if update.ema_decay > 0 else None,
            memory=task.start(),
            watches=watches,
            param_masks=param_masks,
            nonfinite_total=jnp.int32(0),
            nonfinite_run=jnp.int32(0),
        )

    return jax.jit(create)(key)


def with_masks(state: TrainState, update: Any, key: Array, is_anew: bool) -> TrainState:
    """Hide weights of parameters that were not there when masks were laid out.

    Args:
        state: with other parameters than those of `create_state`.
        update: has `masks`, or None there.
        key: of parameter masks.
        is_anew: whether masks and averages begin with these parameters; else masks are there
            already, or None: the other run had none.
    """
    if update.masks is None or not (is_anew or state.param_masks is None):
        return state
    params, masks = jax.jit(update.masks.begin)(state.params, key)
    average = state.ema_params
    if is_anew and average is not None:
        average = jax.tree.map(jnp.copy, params)
    return dataclasses.replace(state, params=params, ema_params=average, param_masks=masks)
