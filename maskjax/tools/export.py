"""A trained model in a form that others load: files, what they take and give, and a model card.

a run's folder  ->  Saved  ->  FORMATS[format]  ->  a folder that is there whole or not at all
"""

import datetime
import json
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from maskjax import workdir as layout
from maskjax.paths import atomic_folder
from maskjax.spelling import did_you_mean
from maskjax.tools.model_card import card
from maskjax.tools.saved import Saved, open_saved, writable
from maskjax.tools.startup import optional

RECORD, MODEL, CARD = "export.json", "model.json", "README.md"
# (run, an empty folder, facts of the export, which it may add to) -> lines for the user.
Write = Callable[[Saved, Path, dict[str, Any]], Iterable[str]]
# Module and function of each format; imported when it is asked for, as some need more packages.
FORMATS = {
    "hf": "maskjax.tools.export_weights:hf",
    "timm": "maskjax.tools.export_weights:timm",
    "sparse": "maskjax.tools.export_weights:sparse_file",
    "stablehlo": "maskjax.tools.export_stablehlo:write",
    "onnx": "maskjax.tools.export_onnx:write",
    "savedmodel": "maskjax.tools.export_savedmodel:write",
}
WEIGHTS = ("hf", "timm", "sparse")  # those that hold weights alone
_PACKAGES = ("jax", "jaxlib", "flax", "numpy")


def export(
    workdir: Path,
    output: Path,
    *,
    format: str,
    licence: str = "",
    which: str = "",
    part: str = "",
) -> list[str]:
    """Export a run.

    Args:
        workdir: the run's folder; its data are not needed.
        output: folder to make; one that is there must hold an earlier export of this run.
        format: one of `FORMATS`.
        licence: of the weights, for the model card.
        which: of the run's states "best", "newest" or "", see `open_saved`.
        part: "encoder" to leave other parts out, where the format holds weights alone.

    Returns:
        Lines that say what was written.

    Raises:
        FileNotFoundError: no run, or no checkpoint yet.
        ValueError: an unknown format, a package that it needs is not there, something else in the
            folder, or a task that the format cannot hold.
    """
    if format not in FORMATS:
        known = (*FORMATS, "run")  # which launch/export.py makes by itself
        raise ValueError(
            f"unknown --format={format}{did_you_mean(format, known)}: use one of {known}"
        )
    write = _find(format)
    if part and format not in WEIGHTS:
        raise ValueError(f"--part={part} is for --format={', '.join(WEIGHTS)}: leave it out")
    check_free(output, format, workdir)
    writable(output.absolute().parent, "--output")
    run = open_saved(workdir, needs_examples=False, which=which)
    facts: dict[str, Any] = {
        "format": format,
        "made": datetime.date.today().isoformat(),
        "versions": {name: metadata.version(name) for name in ("maskjax", *_PACKAGES)},
        **({"part": part} if part else {}),
    }
    with atomic_folder(output) as folder:
        lines = list(write(run, folder, facts))
        write_record(folder, format, workdir)
        if "programs" in facts:
            _write_model(run, folder, facts)
        (folder / CARD).write_text(card(run, facts, lines, licence))
    return [*lines, str(output)]


def _find(format: str) -> Write:
    module, _, name = FORMATS[format].partition(":")
    return getattr(optional(module, format), name)


def _record(format: str, source: Path) -> dict[str, str]:
    return {"maskjax_export": format, "source": str(source.absolute())}


def write_record(folder: Path, format: str, source: Path) -> None:
    """Write of what a folder is an export, by which `check_free` knows it again."""
    (folder / RECORD).write_text(json.dumps(_record(format, source), indent=1) + "\n")


def check_free(output: Path, format: str, source: Path) -> None:
    """Refuse a folder that holds anything but an export of the same source in the same format."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    try:
        found = json.loads((output / RECORD).read_text())
    except (OSError, ValueError):
        found = {}
    if found != _record(format, source):
        what = "another export" if found else "something else"
        raise ValueError(f"--output={output} holds {what}: give a new folder, or remove it")


def _write_model(run: Saved, folder: Path, facts: dict[str, Any]) -> None:
    """Say what programs take and give, and of what run they are."""
    record = json.loads((run.folder / layout.CONFIG).read_text())
    known = {key: record[key] for key in ("config", "data", "config_file") if key in record}
    content = {**facts, "step": int(run.state.step), **known}
    (folder / MODEL).write_text(json.dumps(content, indent=1) + "\n")
