"""A run under way: the parts that the loop and its hooks share, opened and closed together."""

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from maskjax import workdir
from maskjax.config import flatten
from maskjax.preemption import StopSignal
from maskjax.tasks.task import Task
from maskjax.training import init_from, parallel
from maskjax.training.evaluate import Evaluator
from maskjax.training.mask_heads import check_mask_heads
from maskjax.training.state import TrainState, create_state, with_masks
from maskjax.training.step import init_key, mask_key, train_step
from maskjax.training.update import Update, make_update
from maskjax.typing import Batch
from maskjax.workdir import watch
from maskjax.workdir.best import Best
from maskjax.workdir.checkpoint import Checkpoints
from maskjax.workdir.loggers import RunLog
from maskjax.workdir.masks import Changes, own_masks, write_masks
from maskjax.workdir.plan import first_lines
from maskjax.workdir.throughput import Meter


@dataclasses.dataclass
class End:
    """Where a run ends: `total_steps`, unless what it watches says so before.

    Attributes:
        step: the last one.
        reason: why it is not `total_steps`.
        judged: the state that is judged on test, once that is settled: the best where the run
            watches a number, else the last.
    """

    step: int
    reason: str = ""
    judged: TrainState | None = None


@dataclasses.dataclass(frozen=True)
class Run:
    """The parts of a run.

    Attributes:
        task: what is learned (maskjax/tasks).
        data: what it is learned from (maskjax/data).
        feed: what training batches are taken from: the data, or what was computed of it once.
        config: the whole config.
        folder: the workdir.
        spread: the devices.
        program: the compiled step, (state, batch) -> (state, metrics); it donates the state.
        checkpoints: what is saved.
        stop: whether the run was told to stop.
        log: where numbers go.
        meter: how fast it goes.
        evaluator: what the features are worth.
        end: where it ends.
        mask_changes: how much of parameter masks changes; None where there are none.
        in_flight: (step, nonfinite_run) of steps that were not waited for yet, oldest first.
    """

    task: Task
    data: Any
    feed: Any
    config: Any
    folder: Path
    spread: parallel.Spread
    program: parallel.Program
    checkpoints: Checkpoints
    stop: StopSignal
    log: RunLog
    meter: Meter
    evaluator: Evaluator
    end: End
    mask_changes: Any = None
    in_flight: collections.deque[Any] = dataclasses.field(default_factory=collections.deque)


def update_of(task: Task, config: Any) -> Update:
    """Make the update of a config for the parameters of a task."""
    return make_update(config, jax.eval_shape(task.init, init_key(config.seed)))


def checked_update(task: Task, config: Any) -> Update:
    """Make the update of a run that is to train; its masks must be of the model's heads."""
    update = update_of(task, config)
    check_mask_heads(update.masks, task, config)
    return update


def initial_state(task: Task, config: Any, update: Update | None = None) -> TrainState:
    """Make the state of step 0, which the task and the config's seed and optimizer determine.

    An `update` that was made of the same need not be made again, which traces the whole model.
    """
    update = update or update_of(task, config)
    keys = init_key(config.seed), mask_key(config.seed)
    return create_state(task, update, keys[0], watch.start(config), keys[1])


def make_step(
    task: Task,
    config: Any,
    axis_name: str | None,
    complete: Callable[[Batch], Batch] = lambda batch: batch,
    update: Update | None = None,
) -> Any:
    """Make the training step that a config asks for; see `step.train_step` and `initial_state`."""
    update = update or update_of(task, config)
    return train_step(task, update, seed=config.seed, axis_name=axis_name, complete=complete)


def load_state(task: Task, config: Any, folder: str | Path, which: str = "") -> TrainState:
    """Read a whole checkpoint of a finished or a running run, changing nothing.

    Args:
        task: what is learned.
        config: the config of the run; it settles the structure of the state.
        folder: the workdir.
        which: "best", "newest" or "", which is the best where the run watches a number.

    Returns:
        The state, on the default device.

    Raises:
        FileNotFoundError: there is no whole checkpoint, or none that was evaluated.
        ValueError: the checkpoints are of another model or optimizer.
    """
    saved = Path(folder) / workdir.CHECKPOINTS
    if not saved.is_dir():
        raise FileNotFoundError(f"{folder} has no checkpoints: give the folder of a run")
    config = own_masks(config, Path(folder))
    with Checkpoints(saved, read_only=True, best=Best.of(config)) as checkpoints:
        empty = initial_state(task, config)
        state = checkpoints.restore(empty, which)
        if state is empty:
            raise FileNotFoundError(checkpoints.nothing(which))
    return state


def spread_of(task: Task, config: Any, data: Any) -> parallel.Spread:
    """Take the devices of a run.

    Raises:
        ValueError: they do not fit the batch, nothing is held out that the run watches, no
            evaluation gives what it watches, or examples cannot be corrupted so.
    """
    if corruptions := tuple(filter(None, config.eval.corruptions)):
        if not task.loss_label:
            raise ValueError(
                f"eval.corruptions {corruptions}: task {config.task!r} has neither loss nor "
                "accuracy of its own; leave them out, or train a head (configs/linear_probe.py)"
            )
        data.check_corruptions(corruptions)
    spread = parallel.Spread(config.num_devices)
    steps = config.optimizer.accumulate_steps
    spread.check_batch(config.batch_size, steps, task.group_size)
    if watch.start(config) and not data.num_validation:
        raise ValueError(
            "stop.metric and optimizer.schedule 'plateau' need validation examples: set "
            "data.validation_fraction or data.validation_source"
        )
    shapes = lambda: jax.eval_shape(lambda: initial_state(task, config))  # noqa: E731
    watch.check(config, lambda: Evaluator(task, data, config, spread).names(shapes()))
    return spread


def _first_state(
    fresh: TrainState,
    task: Task,
    data: Any,
    config: Any,
    folder: Path,
    checkpoints: Checkpoints,
    update: Update,
) -> tuple[TrainState, str]:
    """The state that a run begins or goes on with, and a line on where it is from, "" if fresh."""
    state = checkpoints.restore(fresh)
    if state is not fresh or not config.init_from.path:
        return state, f"goes on from step {state.step}" if state.step > 0 else ""
    state, record, line = init_from.start(fresh, config, update.schedule, task, data.describe())
    state = with_masks(state, update, mask_key(config.seed), config.init_from.what == "params")
    workdir.note(folder, {"init_from": record})
    checkpoints.save(int(state.step), state)  # the other run may go on, or be gone
    return state, line


def _computed_once(
    task: Task,
    data: Any,
    state: TrainState,
    evaluator: Evaluator,
    spread: parallel.Spread,
    update: Update,
    config: Any,
) -> tuple[Any, TrainState]:
    """What training batches are taken from, and the state that the run begins or goes on with.

    Features are recomputed on resuming, from the same parameters by the same program.
    """
    if not task.once:
        return data, state
    is_fresh, is_kept = int(state.step) == 0, not data.processor.is_random
    if not (is_fresh or is_kept):
        return data, state
    found = evaluator.collect(state, "train", task.once)
    is_valid = found.pop("is_valid")
    if is_fresh:
        whole = update.whole_weights(state)
        params = task.begin(jax.device_get(whole), found[task.once][is_valid])
        averages = None if state.ema_params is None else spread.replicate(params)
        state = dataclasses.replace(state, params=spread.replicate(params), ema_params=averages)
        state = with_masks(state, update, mask_key(config.seed), True)
    return data.with_rows(found, is_valid) if is_kept else data, state


@contextlib.contextmanager
def open_run(
    task: Task, data: Any, config: Any, folder: Path, config_file: str = ""
) -> Iterator[tuple[Run, TrainState]]:
    """Open a run's files and restore its newest whole checkpoint.

    Args:
        task: what is learned.
        data: what it is learned from.
        config: the whole config.
        folder: the workdir, checked.
        config_file: the file that the config is from, with its variant; "" where there is none.

    Yields:
        The run and the state to go on from. On every way out, saves that are pending are finished.

    Raises:
        FileNotFoundError: `init_from.path` has no checkpoint.
        ValueError: the batch does not fit the devices, or the checkpoints not the model, or another
            run is at work in the folder.
    """
    masked = own_masks(config, folder)
    spread, update = spread_of(task, masked, data), checked_update(task, masked)
    evaluator = Evaluator(task, data, config, spread)
    with (
        workdir.claim(config, folder, data.describe(), config_file),
        StopSignal() as stop,
        Checkpoints(
            folder / workdir.CHECKPOINTS, keep=config.keep_checkpoints, best=Best.of(config)
        ) as checkpoints,
    ):
        fresh = spread.replicate(initial_state(task, config, update))
        state, beginning = _first_state(fresh, task, data, config, folder, checkpoints, update)
        if config.param_masks.file and masked is config and jax.process_index() == 0:
            write_masks(folder, state.param_masks.masks)
        if "stop" in state.watches and state.step > 0:
            seen = spread.replicate(watch.seen_before(config, folder, int(state.step)))
            state = dataclasses.replace(state, watches={**state.watches, "stop": seen})
        told = {"names": config.loggers, "config": flatten(config), "best": Best.of(config)}
        with RunLog(folder, int(state.step), config.total_steps, **told) as log:
            sizes = (spread.num_devices, state.params, update.trainable(state.params))
            lines = first_lines(task, data, config, folder, *sizes, update.masks)
            for line in [*lines, beginning] if beginning else lines:
                log.progress.say(f"{folder.name}: {line}")
            feed, state = _computed_once(task, data, state, evaluator, spread, update, config)
            step = make_step(task, config, spread.axis_name, feed.on_device, update)
            run = Run(
                task=task,
                data=data,
                feed=feed,
                config=config,
                folder=folder,
                spread=spread,
                program=spread.program(
                    step, donate=True, num_shapes=getattr(feed, "num_shapes", 1)
                ),
                checkpoints=checkpoints,
                stop=stop,
                log=log,
                meter=_meter(task, config, spread),
                evaluator=evaluator,
                end=End(config.total_steps),
                mask_changes=Changes(state.param_masks.masks) if state.param_masks else None,
            )
            yield run, state


def _meter(task: Task, config: Any, spread: parallel.Spread) -> Meter:
    """What measures the speed of a run."""
    return Meter(
        batch_size=config.batch_size,
        flops_per_example=task.flops_per_example,
        num_devices=spread.num_devices,
        device_kind=jax.devices()[0].device_kind,
    )
