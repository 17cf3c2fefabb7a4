"""How a run ended, in a few lines for the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def report(summary: Mapping[str, Any], folder: str | Path) -> str:
    """Describe a finished run.

    Args:
        summary: the content of its summary.json.
        folder: the workdir, which the pictures' paths begin with.

    Returns:
        Lines with the final losses, what the features are worth beside raw inputs and beside always
        answering the largest class where there were labels, and the paths of the pictures.
    """
    lines = [
        f"finished {summary['steps']} steps in {summary['seconds']:.0f} s: "
        f"loss {_number(summary.get('loss'))} in training, "
        f"{_number(summary.get('eval_loss'))} in evaluation"
    ]
    if "peak_host_memory_bytes" in summary:
        lines[0] += f"; peak memory {summary['peak_host_memory_bytes'] / 1e9:.1f} GB"
    if summary.get("nonfinite_total"):
        lines.append(f"  {summary['nonfinite_total']} steps were skipped as not finite")
    if "knn_accuracy" in summary:
        lines.append(f"  {'accuracy of':<24}{'k-NN':>8}{'linear probe':>14}")
        for label, suffix in (("frozen features", ""), ("raw inputs", "_pixels")):
            knn, linear = (summary.get(f"{name}_accuracy{suffix}") for name in ("knn", "linear"))
            if knn is not None:
                lines.append(f"  {label:<24}{knn:>8.1%}{linear:>14.1%}")
        if "largest_class_accuracy" in summary:
            largest = summary["largest_class_accuracy"]
            lines.append(f"  {'always the largest class':<24}{largest:>8.1%}")
    lines += [f"  {Path(folder) / path}" for path in summary.get("figures", ())]
    return "\n".join([*lines, f"  all of it in {folder}"])


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"
