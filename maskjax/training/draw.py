"""Pictures of what a model makes of its input."""

from pathlib import Path
from typing import Any

from maskjax.training.state import TrainState


def draw(task: Any, state: TrainState, data: Any, config: Any, workdir: Path) -> list[Path]:
    """Draw the pictures of a run into its `figures/` folder; returns their paths."""
    return []
