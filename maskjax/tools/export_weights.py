"""A run, or a file of weights, as weights that transformers or timm load; a run, as sparse ones."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from maskjax import workdir as layout
from maskjax.data import text as texts
from maskjax.interop import export, published, sparse, text
from maskjax.interop.files import CONFIG, WEIGHTS
from maskjax.models.architecture import Architecture
from maskjax.models.text import TextArchitecture
from maskjax.paths import atomic_folder
from maskjax.tools.export import CARD, check_free, write_record
from maskjax.tools.saved import Saved, writable
from maskjax.workdir.leaves import named_leaves

_PARTS = ("encoder", "decoder", "head")


def hf(run: Saved, folder: Path, facts: dict[str, Any]) -> Iterable[str]:
    """Write a run's parameters for transformers; `facts` may hold "part"."""
    return _write(run, folder, "hf", facts)


def timm(run: Saved, folder: Path, facts: dict[str, Any]) -> Iterable[str]:
    """Write a run's parameters for timm; `facts` may hold "part"."""
    return _write(run, folder, "timm", facts)


def sparse_file(run: Saved, folder: Path, facts: dict[str, Any]) -> Iterable[str]:
    """Write a run's parameters without their zeros, and what its ids stand for; facts as `hf`."""
    params = named_leaves(run.state.eval_params)
    if part := facts.get("part", ""):
        params = {path: leaf for path, leaf in params.items() if path.startswith(f"{part}/")}
    masks = named_leaves(run.state.param_masks.masks) if run.state.param_masks else {}
    before, after = sparse.write(folder, params, masks, run.task.architecture)
    record = json.loads((run.folder / layout.CONFIG).read_text())
    known = {key: record[key] for key in ("config", "data") if key in record}
    (folder / CONFIG).write_text(json.dumps(known) + "\n")
    return [
        f"{WEIGHTS}: {after:,} bytes of numbers and masks in place of {before:,}",
        "load it by launch/train.py --config.init_from.path=FOLDER, or make it dense by "
        "launch/export.py --weights=FOLDER --format=hf or timm",
    ]


def is_of_file(workdir: Path | None, weights: Path | None) -> bool:
    """Whether weights are given and no run; a ValueError where it is both or neither."""
    if bool(workdir) == bool(weights):
        raise ValueError("give one of --workdir=RUN and --weights=PATH")
    return weights is not None


def convert(
    weights: Path, output: Path, *, format: str, licence: str = "", part: str = ""
) -> list[str]:
    """Write published weights in another format.

    Args:
        weights: a file, or a folder with one, of a format that `published.read` knows.
        output: folder to make; one that is there must hold an earlier export of these weights.
        format: "hf" or "timm".
        licence: of the weights, for the page that is written beside them.
        part: see `interop.export.write`.

    Returns:
        Lines that say what was written.

    Raises:
        FileNotFoundError: there are no weights.
        ValueError: they cannot be read, the format cannot hold them, or something else is in the
            folder.
    """
    if format not in export.FORMATS:
        raise ValueError(
            f"--weights={weights} can be written with --format={' or '.join(export.FORMATS)}; "
            f"{format!r} needs a run: --workdir=RUN"
        )
    check_free(output, format, weights)
    writable(output.absolute().parent, "--output")
    found = published.read(weights)
    architecture, parts = found.architecture, text.PARTS
    if architecture is None:
        raise ValueError(
            f"{found.path} is of no vision transformer and no text encoder, which --format={format}"
            " holds: start a run from it, by init_from.path"
        )
    if isinstance(architecture, Architecture):
        architecture, parts = export.known_heads(architecture), _PARTS
    first = {path: path.partition("/")[0] for path in found.params}
    params = {path: x for path, x in found.params.items() if first[path] not in text.UNREAD}
    if others := [path for path in params if first[path] not in parts]:
        raise ValueError(
            f"{found.path} holds {', '.join(others[:5])}, which has no place in such a model: give "
            "a file without"
        )
    with atomic_folder(output) as folder:
        lines = [f"read as {found.format} weights, SHA-256 {found.sha256}"]
        lines += export.write(folder, format, params, architecture, part=part)
        if unread := sorted({*first.values()} & {*text.UNREAD}):
            lines.append(f"left out: {', '.join(unread)}")
        write_record(folder, format, weights)
        said = licence or "not known: see where the weights come from"
        page = [f"# {found.path.name}, as {format}", "", *(f"- {line}" for line in lines)]
        (folder / CARD).write_text("\n".join([*page, f"- licence: {said}"]) + "\n")
    return [*lines, str(output)]


def _write(run: Saved, folder: Path, format: str, facts: Mapping[str, Any]) -> list[str]:
    architecture = run.task.architecture
    if architecture is None:
        raise ValueError(
            f"--format={format} holds vision transformers and text encoders, and the task "
            f"{run.config.task!r} has none: use --format=stablehlo"
        )
    params = named_leaves(run.state.eval_params)
    return export.write(
        folder, format, params, architecture, _about(run), part=facts.get("part", "")
    )


def _about(run: Saved) -> export.About:
    """What a run knows beside its parameters."""
    if isinstance(run.task.architecture, TextArchitecture):
        processor = run.data.processor
        specials = processor.tokenizer.specials._asdict()
        ids = {f"{name}_token_id": specials[name] for name in ("pad", "cls", "sep")}
        return export.About(
            class_names=run.task.class_names or run.data.class_names or (),
            special={name: i for name, i in ids.items() if i is not None},
            files=texts.published_files(
                processor.tokenizer, processor.max_length, run.task.architecture.num_types
            ),
        )
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
