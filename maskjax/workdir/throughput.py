"""Speed of a run: examples and operations per second, and what share of the device's peak."""

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

# Dense bf16 operations per second from the vendors' data sheets (fp16 on chips without bf16),
# by the beginning of jax's `device_kind`; of several that fit the longest counts.
PEAK_FLOPS = {
    "NVIDIA A10": 125e12,
    "NVIDIA A10G": 70e12,
    "NVIDIA A100": 312e12,
    "NVIDIA B200": 2250e12,
    "NVIDIA GeForce RTX 3090": 71e12,
    "NVIDIA GeForce RTX 4090": 165e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H100 NVL": 835e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H200": 989e12,
    "NVIDIA L4": 121e12,
    "NVIDIA L40": 181e12,
    "NVIDIA L40S": 362e12,
    "Tesla T4": 65e12,
    "Tesla V100": 125e12,
    "TPU v2": 22.5e12,
    "TPU v3": 61.5e12,
    "TPU v4": 275e12,
    "TPU v5": 459e12,
    "TPU v5e": 197e12,
    "TPU v5 lite": 197e12,
    "TPU v6e": 918e12,
    "TPU v6 lite": 918e12,
}


def peak_flops(device_kind: str) -> float | None:
    """Look up the published dense bf16 peak of one device.

    Args:
        device_kind: as jax names it, such as "NVIDIA H100 80GB HBM3". A TPU v2 or v3 device is one
            core, later ones a chip.

    Returns:
        Operations per second, or None where it is not known.

    Example:
        >>> peak_flops("NVIDIA H100 PCIe"), peak_flops("cpu")
        (756000000000000.0, None)
    """
    known = [kind for kind in PEAK_FLOPS if device_kind.startswith(kind)]
    return PEAK_FLOPS[max(known, key=len)] if known else None


def peak_host_memory() -> int:
    """Most memory that this process has held so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


class Meter:
    """Measures training between two lines of the log, leaving out compilation and pauses.

    Attributes:
        has_read: whether there was a reading yet.
    """

    def __init__(
        self,
        *,
        batch_size: int,
        flops_per_example: float | None,
        num_devices: int,
        device_kind: str,
    ):
        """Start measuring.

        Args:
            batch_size: examples of one step over all devices.
            flops_per_example: operations of forward and backward, by the task's formula.
            num_devices: devices that share them.
            device_kind: jax's name of one of them.
        """
        self._batch_size = batch_size
        self._flops = flops_per_example
        peak = peak_flops(device_kind)
        self._peak = peak * num_devices if peak else None
        self.has_read = False
        self.restart()

    def restart(self) -> None:
        """Forget what was measured since the last reading."""
        self._steps, self._left_out, self._waited = 0, 0.0, 0.0
        self._start = time.perf_counter()

    def next_batch(self, batches: Iterator[Any]) -> Any:
        """Take a batch and account for the time that it was waited for."""
        start = time.perf_counter()
        batch = next(batches)
        self._waited += time.perf_counter() - start
        self._steps += 1
        return batch

    def leave_out(self, seconds: float) -> None:
        """Take time that was no training, such as compilation, out of the measurement."""
        self._left_out += seconds

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what happens inside."""
        start = time.perf_counter()
        yield
        self.leave_out(time.perf_counter() - start)

    def read(self) -> dict[str, float | None]:
        """Report since the last reading, and start anew; the last step must have finished.

        Returns:
            "step_seconds", "examples_per_second", "data_wait_share" of the time,
            "flops_per_second" and "mfu", the last two None where not known.
        """
        seconds = max(time.perf_counter() - self._start - self._left_out, 1e-9)
        rate = self._steps * self._batch_size / seconds
        flops = rate * self._flops if self._flops else None
        report = {
            "step_seconds": seconds / max(self._steps, 1),
            "examples_per_second": rate,
            "data_wait_share": self._waited / seconds,
            "flops_per_second": flops,
            "mfu": flops / self._peak if flops and self._peak else None,
        }
        self.has_read = True
        self.restart()
        return report
