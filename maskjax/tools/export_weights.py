"""A run, or a file of weights, exported as weights that transformers or timm load."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from maskjax.interop import export, published
from maskjax.tools.saved import Saved
from maskjax.workdir.leaves import named_leaves

_PARTS = ("encoder", "decoder", "head")


def hf(run: Saved, folder: Path, facts: dict[str, Any]) -> Iterable[str]:
    """Write a run's parameters for transformers; `facts` may hold "part"."""
    return _write(run, folder, "hf", facts)


def timm(run: Saved, folder: Path, facts: dict[str, Any]) -> Iterable[str]:
    """Write a run's parameters for timm; `facts` may hold "part"."""
    return _write(run, folder, "timm", facts)


def of_file(path: Path, folder: Path, format: str, part: str = "") -> list[str]:
    """Write published weights in another format.

    Args:
        path: the weights, see `published.read`.
        folder: an empty one.
        format: "hf" or "timm".
        part: see `export.write`.

    Returns:
        Lines for the user.
    """
    weights = published.read(path)
    whole = export.known_heads(weights.architecture)
    params = {path: leaf for path, leaf in weights.params.items() if path.split("/")[0] != "pooler"}
    if others := [path for path in params if path.partition("/")[0] not in _PARTS]:
        raise ValueError(
            f"{weights.path} holds {', '.join(others[:5])}, which has no place in a vision "
            "transformer: give a file without"
        )
    lines = export.write(folder, format, params, whole, part=part)
    if len(params) < len(weights.params):
        lines.append("left out: pooler")
    return [f"read as {weights.format} weights, sha256 {weights.sha256}", *lines]


def _write(run: Saved, folder: Path, format: str, facts: Mapping[str, Any]) -> list[str]:
    architecture = run.task.architecture
    if architecture is None:
        raise ValueError(
            f"--format={format} holds vision transformers, and the task {run.config.task!r} has "
            "none: use --format=stablehlo"
        )
    params = named_leaves(run.state.eval_params)
    return export.write(
        folder, format, params, architecture, _about(run), part=facts.get("part", "")
    )


def _about(run: Saved) -> export.About:
    """What a run knows beside its parameters."""
    config, inputs = run.config, run.data.processor.describe()
    is_pretraining = run.config.task == "mae"
    is_8_bit = inputs.get("value_range") is None  # 0 and 255 stand for 0 and 1
    return export.About(
        mask_ratio=config.mask.ratio if is_pretraining else None,
        norm_pix=config.loss.target == "norm_pix" if is_pretraining else None,
        class_names=getattr(run.data, "class_names", None) or (),
        mean=inputs["mean"] if is_8_bit else (),
        std=inputs["std"] if is_8_bit else (),
    )
