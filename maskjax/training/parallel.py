"""Where a run computes: the only file with pmap, collectives and shardings.

Within one process a step is `jax.pmap`ped over the local devices, with the state unmapped
(`in_axes=None`, `out_axes=None`): it has no device axis. Over several processes the same step runs
under `jax.jit` on global arrays, because a donated host-local argument does not survive pmap's
second call there and Orbax saves only global arrays. A step serves both by its `axis_name`: the
name of pmap's axis, or None where it sees the whole batch.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from maskjax.training import cpu
from maskjax.typing import Array, Int, PyTree

AXIS = "data"


def psum(tree: PyTree, axis_name: str | None) -> PyTree:
    """Sum over the devices; with no axis the sums already cover the whole batch."""
    return tree if axis_name is None else jax.lax.psum(tree, axis_name)


def example_index(size: int, axis_name: str | None) -> Int[Array, "size"]:
    """Index within the global batch of each example that this device holds.

    Args:
        size: examples on this device, or in the whole batch where `axis_name` is None.
        axis_name: pmap's axis, or None.

    Returns:
        Consecutive indices, int32.
    """
    index = jnp.arange(size, dtype=jnp.int32)
    return index if axis_name is None else index + size * jax.lax.axis_index(axis_name)


def choose_devices(num_devices: int = 0) -> list[Any]:
    """List the devices of a run, in an order in which each process's are neighbours.

    Args:
        num_devices: how many of this process's devices; 0 takes all.

    Raises:
        ValueError: this process has fewer, or processes share the work and some would be left out.
    """
    available = jax.local_device_count()
    if not 0 <= num_devices <= available:
        raise ValueError(
            f"num_devices is {num_devices} but this process has {available}: set it to "
            f"{'1' if available == 1 else f'1 to {available}'}, or 0 for all"
        )
    if jax.process_count() > 1:
        if num_devices not in (0, available):
            raise ValueError(f"num_devices must be 0 with --multihost, not {num_devices}")
        return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return jax.local_devices()[: num_devices or available]


class Program:
    """A function compiled once for each shape of its rows; more shapes than told are an error.

    Attributes:
        compile_seconds: time that tracing and compilation took, 0 before the first call.
    """

    def __init__(self, jitted: Any, *, num_cpus: int, num_shapes: int = 1):
        """Wrap a jitted or pmapped function.

        Args:
            jitted: it.
            num_cpus: on how many devices of this process it runs, where they are CPUs; else 0.
            num_shapes: for how many shapes of rows it may be compiled.
        """
        self.compile_seconds = 0.0
        self._jitted = jitted
        self._num_cpus = num_cpus
        self._num_shapes = num_shapes
        self._compiled: dict[tuple[Any, ...], Any] = {}
        self._seconds_read = 0.0

    def __call__(self, *args: Any) -> Any:
        """Run, after compiling on the first call; JAX_DISABLE_JIT=1 has nothing compiled."""
        if jax.config.jax_disable_jit:  # pyright: ignore[reportAttributeAccessIssue]
            return self._jitted(*args)
        out = self.compile_for(*args)(*args)
        # Fake CPU devices share one pool of threads: two programs in flight can starve each
        # other's all-reduce until XLA aborts the process, so each is waited for.
        return jax.block_until_ready(out) if self._num_cpus else out

    def compile_for(self, *args: Any) -> Any:
        """Compile for arguments, or their shapes, unless that is done; returns what jax makes."""
        if self._num_shapes == 1 and self._compiled:
            return self._compiled[()]
        several = self._num_shapes > 1
        shape = tuple(x.shape for x in jax.tree.leaves(args[1:])) if several else ()
        if shape not in self._compiled:
            if len(self._compiled) == self._num_shapes:
                raise ValueError(
                    f"rows of shapes {shape} come after the {self._num_shapes} shapes that the data"
                    " promised (num_shapes): let it count all shapes of its batches"
                )
            start = time.perf_counter()
            options = cpu.compiler_options(args[0])
            compiled = self._jitted.lower(*args).compile(compiler_options=options)
            self._compiled[shape] = compiled
            if self._num_cpus and (found := compiled.memory_analysis()):
                cpu.make_room(self._num_cpus * found.temp_size_in_bytes)
            self.compile_seconds += time.perf_counter() - start
        return self._compiled[shape]

    def read_compile_seconds(self) -> float:
        """Tell how long was compiled since this was last asked."""
        found = self.compile_seconds - self._seconds_read
        self._seconds_read = self.compile_seconds
        return found


class Spread:
    """The devices of a run, and how state and batches are laid on them.

    Attributes:
        num_devices: devices over all processes.
        axis_name: what to pass to a step: pmap's axis, or None for global arrays.
    """

    def __init__(self, num_devices: int = 0, *, global_arrays: bool | None = None):
        """Choose devices.

        Args:
            num_devices: how many of the local devices, 0 for all.
            global_arrays: jit over global arrays rather than pmap; by default exactly when
                several processes take part, or nothing is to be compiled.

        Raises:
            ValueError: there are not that many devices.
        """
        devices = choose_devices(num_devices)
        if global_arrays is None:  # JAX_DISABLE_JIT=1 makes pmap take minutes a step
            is_eager = jax.config.jax_disable_jit  # pyright: ignore[reportAttributeAccessIssue]
            global_arrays = jax.process_count() > 1 or is_eager
        self._global = global_arrays
        self._devices = devices
        mesh = Mesh(np.array(devices), (AXIS,))
        self._whole = NamedSharding(mesh, PartitionSpec())
        self._rows = NamedSharding(mesh, PartitionSpec(AXIS))
        is_cpu = devices[0].platform == "cpu"
        self._num_cpus = min(len(devices), jax.local_device_count()) if is_cpu else 0
        self.num_devices = len(devices)
        self.axis_name = None if self._global else AXIS

    def check_batch(self, batch_size: int, accumulate_steps: int = 1, group_size: int = 1) -> None:
        """Refuse a batch that cannot be split evenly.

        Raises:
            ValueError: `batch_size` is no multiple of devices times accumulation steps times the
                rows that a task wants to have together.
        """
        parts = self.num_devices * accumulate_steps * group_size
        if batch_size < 1 or batch_size % parts:
            below, above = batch_size // parts * parts, -(-batch_size // parts) * parts
            nearest = f"{below} or {above}" if below > 0 else f"{parts}"
            groups = f" x groups of {group_size} rows" if group_size > 1 else ""
            raise ValueError(
                f"batch_size {batch_size} does not divide by {self.num_devices} devices x "
                f"{accumulate_steps} accumulation steps{groups}: set batch_size to {nearest}, or "
                "change num_devices"
            )

    def replicate(self, tree: PyTree) -> PyTree:
        """Put a copy of every leaf on every device; shapes stay as they are."""
        if self._global:  # what device_put makes over several processes cannot be saved
            return jax.tree.map(self._copied, tree)
        return jax.device_put(tree, self._whole)

    def _copied(self, leaf: Array) -> Array:
        on_host = np.asarray(leaf)
        return jax.make_array_from_callback(on_host.shape, self._whole, lambda at: on_host[at])

    def split(self, batch: PyTree) -> PyTree:
        """Put a batch's rows on the devices, without waiting.

        Args:
            batch: arrays whose first axis is this process's share of the global batch, in order.
        """
        if self._global:
            put = lambda x: jax.make_array_from_process_local_data(self._rows, x)  # noqa: E731
            return jax.tree.map(put, batch)
        rows = jax.tree.map(lambda x: x.reshape(self.num_devices, -1, *x.shape[1:]), batch)
        return jax.device_put(rows, self._rows)

    def shapes(self, batch: PyTree) -> PyTree:
        """Tell the shapes of what `split` makes of a batch, without moving it."""
        if self._global:
            count = jax.process_count()
            shape = lambda x: (count * x.shape[0], *x.shape[1:])  # noqa: E731
        else:
            count = self.num_devices
            shape = lambda x: (count, x.shape[0] // count, *x.shape[1:])  # noqa: E731
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(shape(x), x.dtype), batch)

    def program(
        self,
        function: Callable[[Any, Any], Any],
        *,
        rows_out: bool = False,
        donate: bool = False,
        num_shapes: int = 1,
    ) -> Program:
        """Compile `function(replicated, rows)` over the devices.

        Args:
            function: pure; built for `self.axis_name`.
            rows_out: its results are rows, for `join` to collect; else they are equal on all
                devices, which nothing but a psum makes true.
            donate: reuse the memory of the first argument.
            num_shapes: that rows come in, of which each is compiled for once.

        Returns:
            A program of arguments laid out by `replicate` and `split`.
        """
        donated = (0,) if donate else ()
        if self._global:
            jitted = jax.jit(
                function,
                in_shardings=(self._whole, self._rows),
                out_shardings=self._rows if rows_out else self._whole,
                donate_argnums=donated,
            )
        else:
            jitted = jax.pmap(
                function,
                axis_name=AXIS,
                in_axes=(None, 0),
                out_axes=0 if rows_out else None,
                devices=self._devices,
                donate_argnums=donated,
            )
        return Program(jitted, num_cpus=self._num_cpus, num_shapes=num_shapes)

    def join(self, rows: Array) -> np.ndarray:
        """Collect on the host the rows that a program returned, in the order of the batch."""
        if self._global:
            return np.asarray(multihost_utils.process_allgather(rows, tiled=True))
        joined = np.asarray(rows)
        return joined.reshape(-1, *joined.shape[2:])


def gather_rows(rows: PyTree) -> PyTree:
    """Put together on each host the rows of a batch that the processes hold, in their order."""
    if jax.process_count() == 1:
        return rows
    return jax.tree.map(np.asarray, multihost_utils.process_allgather(rows, tiled=True))
