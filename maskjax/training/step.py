"""The training step: a pure function of state and batch, and the one place where keys are made."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.tasks.task import Context, Sums, Task
from maskjax.training import parallel
from maskjax.training.state import TrainState
from maskjax.training.update import Update
from maskjax.typing import Array, Batch, Int, Key, PyTree

# Folded into the root key where training folds in the step: no run is that long.
_INIT, _EVAL, _DOCUMENT, _MASKS = 2**32 - 1, 2**32 - 2, 2**32 - 3, 2**32 - 4


def _root(seed: int) -> Key[Array, ""]:
    """Key of a run: threefry whatever JAX is set to, whose numbers no device or vmap changes."""
    return jax.random.key(seed, impl="threefry2x32")


def init_key(seed: int) -> Key[Array, ""]:
    """Key of the parameters' initial values."""
    return jax.random.fold_in(_root(seed), _INIT)


def mask_key(seed: int) -> Key[Array, ""]:
    """Key of parameter masks, which the engine folds steps into."""
    return jax.random.fold_in(_root(seed), _MASKS)


def train_keys(seed: int, step: Int[Array, ""], index: Int[Array, "B"]) -> Key[Array, "B"]:
    """One key per example of a training batch.

    Args:
        seed: the run's.
        step: steps done before this one.
        index: place of each example in the global batch, whichever device holds it.
    """
    return masking.example_keys(_root(seed), step, index)


def document_keys(seed: int, ids: Int[Array, "B"]) -> Key[Array, "B"]:
    """One key per example, the same at every step.

    Args:
        seed: the run's.
        ids: the examples' ids in their data set.
    """
    return masking.example_keys(jax.random.fold_in(_root(seed), _DOCUMENT), 0, ids)


def eval_keys(seed: int, index: Int[Array, "B"]) -> Key[Array, "B"]:
    """One key per evaluated example, the same at every evaluation.

    Args:
        seed: the run's.
        index: place of each example in its split.
    """
    return masking.example_keys(jax.random.fold_in(_root(seed), _EVAL), 0, index)


def eval_context(config: Any, batch: Batch, memory: PyTree) -> Context:
    """What is known beside parameters and batch where a state is judged or shown.

    Args:
        config: the run's; "seed" and "total_steps" are read: what is hidden is the same at every
            step of a run, as at its last.
        batch: "index" [B], the place of each example in its split, and its "id" where there are.
        memory: the state's.
    """
    keys = eval_keys(config.seed, jnp.asarray(batch["index"]))
    documents = document_keys(config.seed, jnp.asarray(batch["id"])) if "id" in batch else None
    return Context(keys, jnp.int32(config.total_steps), documents, memory, train=False)


def _micro_batches(tree: PyTree, count: int, group: int) -> PyTree:
    """Split rows [B, ...] to [count, B / count, ...], taking every `count`-th group of rows.

    Strided, so that rows which are spread over devices need not move.
    """

    def split(x: Array) -> Array:
        groups = x.reshape(-1, count, group, *x.shape[1:]).swapaxes(0, 1)
        return groups.reshape(count, -1, *x.shape[1:])

    return jax.tree.map(split, tree)


def _sums(loss: Callable[..., Any], params: PyTree, rows: PyTree, count: int, group: int) -> PyTree:
    """Sum (gradient, Sums) of `loss(params, rows)` over a batch, `count` micro-batches in turn."""

    def of(rows: PyTree) -> PyTree:
        (_, sums), gradient = jax.value_and_grad(loss, has_aux=True)(params, rows)
        return gradient, sums

    if count == 1:
        return of(rows)
    parts = _micro_batches(rows, count, group)
    first = jax.eval_shape(of, jax.tree.map(lambda x: x[0], parts))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), first)
    add = lambda total, part: (jax.tree.map(jnp.add, total, of(part)), None)  # noqa: E731
    return jax.lax.scan(add, zeros, parts)[0]


def train_step(
    task: Task,
    update: Update,
    *,
    seed: int,
    axis_name: str | None = None,
    complete: Callable[[Batch], Batch] = lambda batch: batch,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Any]]]:
    """Make the step of a task.

    Losses are sums. The gradient of the loss sum is added over micro-batches and devices and only
    then divided by the summed weight, so devices may hide different counts. A step whose loss,
    gradient norm or statistics are not finite changes nothing but the step number and its own
    count.

    Args:
        task: see there; its sums are over the rows of a batch.
        update: from gradients to parameters.
        seed: root of every key.
        axis_name: pmap's axis, or None where a step sees the whole batch.
        complete: makes of a batch what the task reads, as `Data.on_device`.

    Returns:
        `(state, batch) -> (state, metrics)`, equal on all devices: the scalars "loss", "grad_norm"
        (before clipping, of what is not hidden), "learning_rate", "nonfinite_run" and
        "nonfinite_total", and in "metrics" the task's own, as sums that the host divides.
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Any]]:
        size = len(jax.tree.leaves(batch)[0])
        index = parallel.example_index(size, axis_name)
        keys = train_keys(seed, state.step, index)
        documents = document_keys(seed, batch["id"]) if "id" in batch else None

        def loss(trainable: PyTree, rows: PyTree) -> tuple[Array, Sums]:
            batch, keys, documents, index = rows
            known = (keys, state.step, documents, state.memory, state.ema_params)
            context = Context(*known, index=index)
            sums = task.loss(update.whole(trainable, state.params), complete(batch), context)
            return sums.loss, sums

        trainable, rows = update.trainable(state.params), (batch, keys, documents, index)
        parts = _sums(loss, trainable, rows, update.accumulate_steps, task.group_size)
        gradient, sums = parallel.psum(parts, axis_name)
        mean, gradient = jax.tree.map(lambda x: x / sums.weight, (sums.loss, gradient))
        hidden = update.hide(gradient, state.param_masks)
        norm = _norm(hidden)
        factor = state.watches["plateau"].factor if "plateau" in state.watches else 1.0
        rate = update.rate(state, factor)
        is_finite = jnp.isfinite(mean) & jnp.isfinite(norm) & _are_finite(sums.statistics)
        if update.masks is not None:
            is_finite &= jnp.isfinite(_norm(gradient))
        moved = update.step(state, gradient, hidden, rate, mean, mask_key(seed))
        memory = task.remember(state.memory, sums.statistics, state.step)
        state = _advance(state, (*moved, memory), is_finite)
        return state, {
            "metrics": sums.metrics,
            "loss": mean,
            "grad_norm": norm,
            "learning_rate": rate,
            "nonfinite_run": state.nonfinite_run,
            "nonfinite_total": state.nonfinite_total,
        }

    return step


def _norm(gradient: PyTree) -> Array:
    return jnp.sqrt(sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(gradient)))


def _are_finite(tree: PyTree) -> Array:
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.array([jnp.isfinite(x).all() for x in floats]).all()


def _advance(state: TrainState, new: PyTree, is_finite: Array) -> TrainState:
    """Take what is new, unless the step was not finite; count the step either way."""
    old = (state.params, state.opt_state, state.ema_params, state.param_masks, state.memory)
    choose = lambda new, old: jnp.where(is_finite, new, old)  # noqa: E731
    params, opt_state, ema_params, param_masks, memory = jax.tree.map(choose, new, old)
    skipped = 1 - is_finite.astype(jnp.int32)
    return TrainState(
        step=state.step + 1,
        params=params,
        opt_state=opt_state,
        ema_params=ema_params,
        memory=memory,
        watches=state.watches,
        param_masks=param_masks,
        nonfinite_total=state.nonfinite_total + skipped,
        nonfinite_run=(state.nonfinite_run + 1) * skipped,
    )
