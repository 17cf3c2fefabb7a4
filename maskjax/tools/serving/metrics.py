"""Numbers for Prometheus, added up over all workers."""

import os
from collections.abc import Iterator

import prometheus_client
from prometheus_client import Metric, multiprocess

from maskjax.tools.serving.settings import SHARED

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)

REQUESTS = prometheus_client.Counter(
    "maskjax_requests", "Requests for predictions.", ["status"]
)  # fmt: skip
LATENCY = prometheus_client.Histogram(
    "maskjax_request_seconds", "From a request's first byte to its answer.", buckets=_SECONDS
)
COMPUTE = prometheus_client.Histogram(
    "maskjax_compute_seconds", "Of a batch, on the device.", ["output"], buckets=_SECONDS
)
BATCH = prometheus_client.Histogram(
    "maskjax_batch_rows", "Rows that were computed together.", ["output"], buckets=_ROWS
)
WAITING = prometheus_client.Gauge(
    "maskjax_waiting_rows", "Rows that wait to be computed.", multiprocess_mode="livesum"
)


def exposition() -> tuple[bytes, str]:
    """Return the text that Prometheus reads, and its content type."""
    registry = prometheus_client.CollectorRegistry()
    registry.register(_Ours())  # pyright: ignore[reportArgumentType]
    return prometheus_client.generate_latest(registry), prometheus_client.CONTENT_TYPE_LATEST


class _Ours:
    """Collects the numbers above, of all workers; other packages have theirs in the same place."""

    def collect(self) -> Iterator[Metric]:
        if SHARED in os.environ:
            found = multiprocess.MultiProcessCollector(None).collect()
        else:
            found = prometheus_client.REGISTRY.collect()
        return (metric for metric in found if metric.name.startswith("maskjax_"))
