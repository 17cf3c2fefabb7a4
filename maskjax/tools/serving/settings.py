"""What a server is told, and refuses beyond."""

import dataclasses
import json
import os
from typing import Any

# By which workers know the folder where prometheus_client adds up their metrics; it reads it when
# it is imported.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
_VARIABLE = "MASKJAX_SERVE"  # by which the settings reach workers, which are new processes


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of all workers.

    Attributes:
        model: folder of the export.
        max_batch: rows that are computed together at most.
        wait_ms: milliseconds that the first of a batch waits for others.
        max_queue: rows that may wait for one output; more are refused, 503.
        max_rows: rows in one request, 413 above.
        max_bytes: of a request's body, 413 above.
        max_pixels: of an image before it is resized, 413 above.
        timeout: seconds from a request's last byte to its answer, 504 after them.
    """

    model: str
    max_batch: int = 16
    wait_ms: float = 2.0
    max_queue: int = 512
    max_rows: int = 64
    max_bytes: int = 20_000_000
    max_pixels: int = 40_000_000
    timeout: float = 30.0

    def __post_init__(self):
        """Refuse what no server could work with."""
        for field in dataclasses.fields(self):
            value: Any = getattr(self, field.name)
            if field.name != "model" and value < (0 if field.name == "wait_ms" else 1):
                raise ValueError(f"--{field.name}={value} must be at least 1")

    def publish(self) -> None:
        """Hand the settings to the processes that this one starts."""
        os.environ[_VARIABLE] = json.dumps(dataclasses.asdict(self))

    @classmethod
    def published(cls) -> "Settings":
        """Take what the process that started this one has handed on."""
        return cls(**json.loads(os.environ[_VARIABLE]))
