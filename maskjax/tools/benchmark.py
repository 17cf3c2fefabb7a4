"""How fast a config trains on this machine, against what its matrix products could reach."""

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from maskjax import data as data_layer
from maskjax import tasks
from maskjax.config import check_ranges
from maskjax.training import parallel, run
from maskjax.typing import Array
from maskjax.workdir.throughput import peak_host_memory

_PEAK_SIDES = {"cpu": 2048}  # accelerators need larger products to reach their peak
_PEAK_SIDE = 8192


class Shape(NamedTuple):
    """What tasks of arrays read of data, where there are none.

    Attributes:
        shape: sizes of one example.
        num_classes: of labels, as ImageNet has; all examples are of the first.
        num_targets: numbers to predict, of tasks that do.
    """

    shape: tuple[int, ...]
    num_classes: int = 1000
    num_targets: int = 1


class Timing(NamedTuple):
    """What one configuration measured.

    Attributes:
        batch_size: Examples in a step.
        compile_seconds: Tracing and compiling the step.
        step_seconds: Median over the repeats.
        fastest_seconds: Fastest repeat.
        examples_per_second: batch_size / step_seconds.
        flops_per_second: Matrix-product FLOPs of the step (`Task.flops_per_example`) a second.
        share_of_peak: Of `matmul_peak` on the devices in use.
        memory_bytes: Peak memory: the device's where it reports it, else this process's.
    """

    batch_size: int
    compile_seconds: float
    step_seconds: float
    fastest_seconds: float
    examples_per_second: float
    flops_per_second: float
    share_of_peak: float
    memory_bytes: int


def sorted_seconds(step: Callable[[], Any], repeats: int) -> list[float]:
    """Time a function that returns arrays, after two calls to warm up; sorted."""
    seconds = []
    for repeat in range(repeats + 2):
        begin = time.perf_counter()
        jax.block_until_ready(step())
        if repeat >= 2:
            seconds.append(time.perf_counter() - begin)
    return sorted(seconds)


def compute_dtype(config: Any) -> str:
    """What a config's model computes in: model.dtype, or float32 where there is no choice."""
    return config.model.get("dtype", "float32")


def matmul_peak(dtype: str, repeats: int = 10) -> float:
    """Measure FLOP/s of a large square matrix product on one device.

    Args:
        dtype: "float32" or "bfloat16".
        repeats: Timed calls, at least 1; the fastest counts.

    Returns:
        FLOP/s.
    """
    side = _PEAK_SIDES.get(jax.devices()[0].platform, _PEAK_SIDE)
    a, b = jax.random.normal(jax.random.key(0), (2, side, side), jnp.dtype(dtype))
    product = jax.jit(jnp.matmul)
    return 2 * side**3 / sorted_seconds(lambda: product(a, b), repeats)[0]


def example_shape(config: Any) -> tuple[int, ...]:
    """The shape of one example: from the config where it says, else from its data.

    So ImageNet configs can be timed without ImageNet.

    Raises:
        ValueError: examples are no arrays.
    """
    if config.data.size and config.data.channels:
        return (*config.data.size, config.data.channels)
    data = data_layer.build(config.data, seed=config.seed, batch_size=1)
    if not hasattr(data.processor, "shape"):
        raise ValueError(
            f"steps on random arrays are timed, and task {config.task!r} learns from"
            f" {data.processor.in_words}: read examples_per_second in the log of a short run"
        )
    return data.shape


def check(config: Any, shape: tuple[int, ...], batch_sizes: Sequence[int]) -> None:
    """Refuse what `time_step` would, for each batch size, before anything runs.

    How learning rates and batch sizes fit together is passed over: no time depends on it.

    Args:
        config: The run's; its own `batch_size` is not looked at.
        shape: Sizes of one example.
        batch_sizes: What `batch_size` will be.

    Raises:
        ValueError: the config does not fit itself, the shape or the devices.
    """
    sized = copy.deepcopy(config)
    for batch_size in batch_sizes:
        sized.batch_size = batch_size
        check_ranges(sized)
    task = tasks.build(config, Shape(shape))
    spread, steps = parallel.Spread(config.num_devices), config.optimizer.accumulate_steps
    for batch_size in batch_sizes:
        spread.check_batch(batch_size, steps, task.group_size)


def time_step(config: Any, shape: tuple[int, ...], *, repeats: int, peak: float) -> Timing:
    """Time the whole training step, optimizer included, on random inputs.

    Args:
        config: The run's; `batch_size` examples a step.
        shape: Sizes of one example.
        repeats: Timed steps, at least 1, after two to warm up.
        peak: FLOP/s of one device, from `matmul_peak`.

    Returns:
        The timing.

    Raises:
        ValueError: the config does not fit itself, the shape or the devices.
    """
    check_ranges(config)
    task = tasks.build(config, Shape(shape))
    spread = parallel.Spread(config.num_devices)
    steps = config.optimizer.accumulate_steps
    spread.check_batch(config.batch_size, steps, task.group_size)
    state = spread.replicate(run.initial_state(task, config))
    program = spread.program(run.make_step(task, config, spread.axis_name), donate=True)
    rng = np.random.default_rng(config.seed)
    size = config.batch_size
    batch = {
        "inputs": rng.normal(size=(size, *shape)).astype(np.float32),
        "label": np.zeros(size, np.int32),
        "targets": np.zeros((size, Shape(shape).num_targets), np.float32),
    }
    batch = spread.split(batch)

    def step() -> Array:
        nonlocal state
        state, metrics = program(state, batch)
        return metrics["loss"]

    seconds = sorted_seconds(step, repeats)
    median = statistics.median(seconds)
    flops = task.flops_per_example * config.batch_size / median
    return Timing(
        config.batch_size,
        program.compile_seconds,
        median,
        seconds[0],
        config.batch_size / median,
        flops,
        flops / (peak * spread.num_devices),
        peak_memory(),
    )


def peak_memory() -> int:
    """Peak memory in bytes: the first device's where it reports it, else this process's."""
    stats = jax.devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use") or peak_host_memory()


def header(peak: float) -> str:
    """The lines above the rows: the machine, its `matmul_peak`, and what the columns are."""
    return (
        f"{jax.device_count()} x {jax.devices()[0].device_kind}, "
        f"matrix-product peak {peak / 1e9:.0f} GFLOP/s a device\n"
        f"{'batch':>6} {'compile s':>10} {'step ms':>9} {'fastest':>9} {'examples/s':>10} "
        f"{'GFLOP/s':>9} {'of peak':>8} {'memory GB':>10}"
    )


def row(timing: Timing) -> str:
    """One timing as a line under `header`; memory is the most so far, over the rows before too."""
    return (
        f"{timing.batch_size:>6} {timing.compile_seconds:>10.1f} {1e3 * timing.step_seconds:>9.1f} "
        f"{1e3 * timing.fastest_seconds:>9.1f} {timing.examples_per_second:>10.1f} "
        f"{timing.flops_per_second / 1e9:>9.1f} {timing.share_of_peak:>8.1%} "
        f"{timing.memory_bytes / 1e9:>10.2f}"
    )
