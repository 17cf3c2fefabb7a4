"""Which state of a run is the best: by a number of its evaluations, as its config says."""

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from maskjax.config import of_run
from maskjax.workdir.folder import CONFIG


class Best(NamedTuple):
    """What tells which of a run's states is the best.

    Attributes:
        metric: a number of evaluations.
        mode: "min" or "max", what is better.
        is_watched: whether the config asks for it; the best state is then the one that is judged on
            test and used, and not the last.
    """

    metric: str = "loss"
    mode: str = "min"
    is_watched: bool = False

    @classmethod
    def of(cls, config: Any) -> "Best":
        """Read a config: `stop.metric` and `stop.mode`, else the loss."""
        stop = config.stop
        return cls(stop.metric, stop.mode, True) if stop.metric else cls()

    @classmethod
    def of_run(cls, folder: Path) -> "Best":
        """Read the config of a run's folder; where there is none, nothing is watched."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls.of(of_run(json.loads((folder / CONFIG).read_text())["config"]))
        return cls()

    def order(self, evaluated: Mapping[int, Mapping[str, Any]]) -> list[int]:
        """Sort steps by their evaluations.

        Args:
            evaluated: numbers by name, of each step.

        Returns:
            The best first; of equal ones the earliest, which nothing after it improved. Steps
            without the number, or where it is not finite, are left out.

        Example:
            >>> losses = {4: {"loss": 0.5}, 8: {"loss": 0.25}, 12: {"loss": 0.25}, 16: {}}
            >>> Best("loss", "min").order(losses)
            [8, 12, 4]
        """
        sign = 1 if self.mode == "min" else -1
        found = {step: numbers.get(self.metric) for step, numbers in evaluated.items()}
        values = {step: sign * x for step, x in found.items() if x is not None and math.isfinite(x)}
        return sorted(values, key=lambda step: (values[step], step))
