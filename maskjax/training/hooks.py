"""What happens beside the step: each hook is called after every step and knows when it is due.

A hook is `(run, step, state, metrics)`, with `step` the number of steps done; the one that changes
the state returns it. They are called in the order of `AFTER_STEP`. A step that will be evaluated
is on disk before that begins, for it may take long; what is cut short of evaluation and drawing,
`catch_up` does on resuming.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
from absl import logging

from maskjax import workdir
from maskjax.data.prefetch import InterruptedWait
from maskjax.evaluation.metrics import numbers as metric_numbers
from maskjax.preemption import Preempted
from maskjax.training import draw as drawing
from maskjax.training.run import Run
from maskjax.training.state import TrainState
from maskjax.workdir import watch as watching
from maskjax.workdir.best import Best
from maskjax.workdir.lines import NO_NUMBERS
from maskjax.workdir.masks import sparsities

Metrics = dict[str, Any]  # what a step reports


def is_due(step: int, every: int, total: int) -> bool:
    """Whether something that happens every so many steps, and after the last, happens now.

    Args:
        step: steps done.
        every: the interval; 0 means only after the last step.
        total: steps of the whole run.

    Example:
        >>> [step for step in range(1, 8) if is_due(step, 3, 7)]
        [3, 6, 7]
    """
    return step == total or (every > 0 and step % every == 0)


def guard(run: Run, step: int, state: TrainState, metrics: Metrics) -> None:
    """Stop a run that only skips steps.

    Raises:
        FloatingPointError: more than `max_nonfinite_steps` steps in a row were skipped.
    """
    run.in_flight.append((step, metrics["nonfinite_run"]))
    # The step before this one is awaited, not this one: an accelerator computes while the next
    # batch is made, yet batches cannot pile up in its memory.
    while len(run.in_flight) > (1 if step < run.end.step else 0):
        checked, skipped = run.in_flight.popleft()
        if int(skipped) > run.config.max_nonfinite_steps:
            raise FloatingPointError(
                f"loss or gradient was not finite in {int(skipped)} steps in a row, up to step "
                f"{checked}: lower optimizer.base_lr, or set optimizer.clip_norm"
            )


def log(run: Run, step: int, state: TrainState, metrics: Metrics) -> None:
    """Write the step's own numbers and the speed since the line before.

    A resumed run also shows its first step, but writes the lines of an uninterrupted one.
    """
    is_first = not run.meter.has_read
    is_written = step == 1 or is_due(step, run.config.log_every_steps, run.end.step)
    if state.watches:  # the run may end where it is evaluated
        is_written |= is_due(step, run.config.eval_every_steps, run.end.step)
    if not (is_first or is_written):
        run.log.progress.update(step)
        return
    found = jax.device_get(metrics)
    numbers = metric_numbers(found.pop("metrics"))
    numbers |= {name: value.item() for name, value in found.items()}
    if is_written and state.param_masks:
        masks = state.param_masks.masks
        numbers |= sparsities(masks) | run.mask_changes.since(masks)
    compiled = run.program.read_compile_seconds()
    run.meter.leave_out(compiled)
    if is_first:
        numbers["compile_seconds"] = compiled
    numbers |= run.meter.read()
    if is_written:
        run.log.write(step, "train", numbers)
    run.log.progress.update(step, numbers)


def leave_if_told(run: Run, step: int, state: TrainState) -> None:
    """Save and stop a run that was told to; asked equally often in every process.

    Raises:
        Preempted: the step is on disk once the run is closed.
    """
    if run.stop.reached():
        run.checkpoints.save(step, state)
        raise Preempted(step)


@contextlib.contextmanager
def saving(run: Run, step: int, state: TrainState) -> Iterator[None]:
    """Save the state that a failure beside the training step would lose: it is whole.

    Not so after a divergence, which is no reason to let go of older checkpoints; nor with several
    processes, for the others would have to take part.
    """
    try:
        yield
    except Exception as error:
        is_expected = isinstance(error, Preempted | FloatingPointError)
        if step > 0 and jax.process_count() == 1 and not is_expected:
            try:
                run.checkpoints.save(step, state)
                run.checkpoints.wait()
            except Exception as second:
                logging.warning("Step %d could not be saved either (%s).", step, second)
        raise


@contextlib.contextmanager
def advising(run: Run) -> Iterator[None]:
    """Add to an error how what was saved is of use."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, Preempted):
            with contextlib.suppress(OSError):  # what cannot be looked at is no second error
                for step in run.checkpoints.steps[-1:]:
                    error.add_note(f"step {step} is saved: the same command goes on from it")
                if workdir.has_results(run.folder):
                    error.add_note(workdir.start_anew(run.folder))
        raise


def next_batch(run: Run, step: int, state: TrainState, batches: Any) -> Any:
    """Take the batch after a step, or save that step and stop where it never comes.

    Raises:
        Preempted: this process, of no cluster, was told to stop while it waited.
    """
    try:
        return run.meter.next_batch(batches)
    except InterruptedWait:
        run.checkpoints.save(step, state)
        raise Preempted(step) from None


def checkpoint(run: Run, step: int, state: TrainState, metrics: Metrics) -> None:
    """Save when due, and what will be evaluated; stop when told to."""
    config = run.config
    intervals = (config.save_every_steps, config.eval_every_steps)
    if any(is_due(step, every, run.end.step) for every in intervals):
        with run.meter.paused():
            run.checkpoints.save(step, state)
    leave_if_told(run, step, state)


def evaluate(run: Run, step: int, state: TrainState, metrics: Metrics) -> None:
    """Judge on validation, and keep the best checkpoint by what comes out."""
    if not is_due(step, run.config.eval_every_steps, run.end.step):
        return
    with run.meter.paused():
        _judge(run, step, state, "validation", lambda: leave_if_told(run, step, state))
        if "validation" in run.log.last:
            run.checkpoints.add_metrics(step, run.log.last["validation"])


def _judge(
    run: Run, step: int, state: TrainState, split: str, before_batch: Callable[[], None]
) -> None:
    """Evaluate a state on a split unless the log has it, and write what came out at a step."""
    at, last = int(state.step), run.log.last.get(split, {})
    if last.get("step") == step and last.get("best_step", step) == at:
        return
    run.checkpoints.wait()
    validated = run.log.evaluated.get(at, {}) if split == "test" else None
    numbers = run.evaluator(state, split, before_batch, validated)
    if numbers:
        whose = {"best_step": at} if at != step else {}
        run.log.write(step, split, {**numbers, **whose}, run.evaluator.tables)
        text = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        run.log.progress.say(f"{split} at step {at}: {text}")


def watch(run: Run, step: int, state: TrainState, metrics: Metrics) -> TrainState | None:
    """Take an evaluation into what the run watches; it may end here.

    The checkpoint of this step is from before, so that resuming from it does this again.
    """
    line = run.log.last.get("validation", {})
    if not state.watches or line.get("step") != step:
        return None
    numbers = {name: x for name, x in line.items() if name not in NO_NUMBERS}
    seen, reason = watching.observe(jax.device_get(state.watches), run.config, numbers)
    if reason and step < run.end.step:
        run.end.step, run.end.reason = step, reason
        run.log.progress.say(f"ends at step {step}: {reason}")
    return dataclasses.replace(state, watches=run.spread.replicate(seen))


def test(run: Run, step: int, state: TrainState, metrics: Metrics) -> None:
    """Judge on test, once, where the run ends: the best state where it watches a number."""
    if step == run.end.step:
        with run.meter.paused():
            run.end.judged = _best(run, state) if run.config.stop.metric else state
            told = lambda: leave_if_told(run, step, state)  # noqa: E731
            _judge(run, step, run.end.judged, "test", told)


def _best(run: Run, last: TrainState) -> TrainState:
    """Read the best state, without moments; the last where no evaluation gave a number."""
    run.checkpoints.wait()
    steps, metric = run.checkpoints.chosen("best"), run.config.stop.metric
    is_last = not steps or steps[0] == int(last.step)
    best = last if is_last else run.checkpoints.restore(last, "best")
    found = Best.of(run.config).order(run.log.evaluated)
    if not found:
        run.log.progress.say(f"no evaluation gave a finite {metric}: the last state is judged")
    elif found[0] != int(best.step):
        run.log.progress.say(
            f"{metric} was best at step {found[0]}, of which there is no whole checkpoint: step "
            f"{int(best.step)} is judged in its place"
        )
    return dataclasses.replace(best, opt_state=None)


def draw(run: Run, step: int, state: TrainState, metrics: Metrics) -> None:
    """Draw what the model makes of its input, in the first process; no examples, no pictures."""
    settings = run.config.figures
    is_now = is_due(step, settings.every_steps, run.end.step)
    if not is_now or settings.num_examples == 0:
        return
    leave_if_told(run, step, state)
    if jax.process_index() != 0:
        return
    state = run.end.judged or state
    with run.meter.paused():
        on_host = jax.device_get(dataclasses.replace(state, opt_state=None))
        task = run.task.chosen(run.log.evaluated.get(int(state.step), {}))
        told = run.log.progress.say
        figures = drawing.draw(task, on_host, run.data, run.config, run.folder, say=told)
        run.log.write_figures(step, figures)


def catch_up(run: Run, start: int, state: TrainState) -> TrainState:
    """Evaluate and draw what is due at the step that a run is resumed from, or that is its only."""
    if start == run.end.step:
        return call((checkpoint, *AFTER_SAVE), run, start, state, {})
    return call(AFTER_SAVE, run, start, state, {}) if start > 0 else state


def call(hooks: Any, run: Run, step: int, state: TrainState, metrics: Metrics) -> TrainState:
    """Call hooks in turn; returns the state after them."""
    for hook in hooks:
        state = hook(run, step, state, metrics) or state
    return state


AFTER_SAVE = (evaluate, watch, test, draw)
AFTER_STEP = (guard, log, checkpoint, *AFTER_SAVE)
