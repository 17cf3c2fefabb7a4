"""The training step: a pure function of state and batch, and the one place where keys are made."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from maskjax import masking
from maskjax.training import parallel
from maskjax.training.state import TrainState
from maskjax.typing import Array, Batch, Float, Int, Key, PyTree

# Folded into the root key where training folds in the step: no run is that long.
_INIT, _EVAL = 2**32 - 1, 2**32 - 2


def _root(seed: int) -> Key[Array, ""]:
    """Key of a run: threefry whatever JAX is set to, whose numbers no device or vmap changes."""
    return jax.random.key(seed, impl="threefry2x32")


def init_key(seed: int) -> Key[Array, ""]:
    """Key of the parameters' initial values."""
    return jax.random.fold_in(_root(seed), _INIT)


def train_keys(seed: int, step: Int[Array, ""], index: Int[Array, "B"]) -> Key[Array, "B"]:
    """One key per example of a training batch.

    Args:
        seed: the run's.
        step: steps done before this one.
        index: place of each example in the global batch, whichever device holds it.
    """
    return masking.example_keys(_root(seed), step, index)


def eval_keys(seed: int, index: Int[Array, "B"]) -> Key[Array, "B"]:
    """One key per evaluated example, the same at every evaluation.

    Args:
        seed: the run's.
        index: place of each example in its split.
    """
    return masking.example_keys(jax.random.fold_in(_root(seed), _EVAL), 0, index)


def _micro_batches(tree: PyTree, count: int) -> PyTree:
    """Split rows [B, ...] to [count, B / count, ...], taking every `count`-th row.

    Strided, so that rows which are spread over devices need not move.
    """
    return jax.tree.map(lambda x: x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1), tree)


def _sums(task: Any, params: PyTree, batch: Batch, keys: Array, step: Array, count: int) -> PyTree:
    """Sum (gradient, loss, weight, metrics) over a batch, `count` micro-batches in turn."""

    def of(rows: tuple[Batch, Array]) -> PyTree:
        (loss, (weight, metrics)), gradient = jax.value_and_grad(task.loss, has_aux=True)(
            params, *rows, step
        )
        return gradient, loss, weight, metrics

    if count == 1:
        return of((batch, keys))
    rows = _micro_batches((batch, keys), count)
    first = jax.eval_shape(of, jax.tree.map(lambda x: x[0], rows))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), first)
    add = lambda total, part: (jax.tree.map(jnp.add, total, of(part)), None)  # noqa: E731
    return jax.lax.scan(add, zeros, rows)[0]


def train_step(
    task: Any,
    optimizer: optax.GradientTransformation,
    schedule: Callable[[Array], Float[Array, ""]],
    *,
    seed: int,
    accumulate_steps: int = 1,
    ema_decay: float = 0.0,
    axis_name: str | None = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """Make the step of a task.

    Losses are sums. The gradient of the loss sum is added over micro-batches and devices and only
    then divided by the summed weight, so devices may hide different counts. A step whose loss or
    gradient norm is not finite changes nothing but the step number and its own count.

    Args:
        task: has `loss(params, batch, keys, step) -> (loss_sum, (weight_sum, metrics))`, with
            metrics a dict of (sum, weight) pairs, all of them sums over the batch's rows.
        optimizer: gradients to the direction that the learning rate multiplies.
        schedule: learning rate of a step number.
        seed: root of every key.
        accumulate_steps: micro-batches whose gradients are added before the update.
        ema_decay: of the moving average of parameters; 0 keeps none.
        axis_name: pmap's axis, or None where a step sees the whole batch.

    Returns:
        `(state, batch) -> (state, metrics)`; metrics are scalars, equal on all devices: "loss",
        "grad_norm" (before clipping), "learning_rate", "nonfinite_run", "nonfinite_total" and the
        task's own.
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Array]]:
        index = parallel.example_index(len(batch["inputs"]), axis_name)
        keys = train_keys(seed, state.step, index)
        sums = _sums(task, state.params, batch, keys, state.step, accumulate_steps)
        gradient, loss, weight, metrics = parallel.psum(sums, axis_name)
        loss = loss / weight
        gradient = jax.tree.map(lambda x: x / weight, gradient)
        norm = jnp.sqrt(sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(gradient)))
        rate = schedule(state.step)
        is_finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        state = _update(state, gradient, rate, optimizer, ema_decay, is_finite)
        report = {name: total / count for name, (total, count) in metrics.items()}
        report |= {
            "loss": loss,
            "grad_norm": norm,
            "learning_rate": rate,
            "nonfinite_run": state.nonfinite_run,
            "nonfinite_total": state.nonfinite_total,
        }
        return state, report

    return step


def _update(
    state: TrainState,
    gradient: PyTree,
    rate: Array,
    optimizer: optax.GradientTransformation,
    ema_decay: float,
    is_finite: Array,
) -> TrainState:
    """Move the parameters, unless the gradient is not finite; count the step either way."""
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an int32
        direction, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    params = jax.tree.map(lambda p, d: (p - rate * d).astype(p.dtype), state.params, direction)
    ema_params = state.ema_params
    if ema_params is not None:
        blend = lambda e, p: ema_decay * e + (1.0 - ema_decay) * p  # noqa: E731
        ema_params = jax.tree.map(blend, ema_params, params)
    params, opt_state, ema_params = jax.tree.map(
        lambda new, old: jnp.where(is_finite, new, old),
        (params, opt_state, ema_params),
        (state.params, state.opt_state, state.ema_params),
    )
    skipped = 1 - is_finite.astype(jnp.int32)
    return TrainState(
        step=state.step + 1,
        params=params,
        opt_state=opt_state,
        ema_params=ema_params,
        nonfinite_total=state.nonfinite_total + skipped,
        nonfinite_run=(state.nonfinite_run + 1) * skipped,
    )
