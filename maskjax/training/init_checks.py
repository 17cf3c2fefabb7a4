"""What shapes of parameters do not tell of another run: what its ids stand for, and its heads."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskjax import workdir
from maskjax.config import flatten
from maskjax.data.text import read_tokenizer
from maskjax.keys import SMALLER
from maskjax.models.patches import grid_shape
from maskjax.models.sizes import decoder_sizes, encoder_sizes, text_sizes
from maskjax.workdir.merge import found_in

# Keys of a model that change none of its parameters' shapes.
_OF_NO_SHAPE = {f"model.{name}" for name in ("attention", "drop_path", "dropout", "dtype", "remat")}


def check_ids(folder: Path, ours: Mapping[str, Any]) -> None:
    """Refuse a run, or weights, whose ids stood for other words or items: the table is of those."""
    theirs: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        theirs = dict(json.loads((folder / workdir.CONFIG).read_text())["data"])
    if "tokenizer" in ours and "tokenizer" not in theirs and folder.is_dir():
        with contextlib.suppress(OSError, ValueError):  # weights may lie there alone
            theirs["tokenizer"] = read_tokenizer(str(folder)).describe()
    hints = {
        "tokenizer": f"set data.tokenizer={folder}",
        "item_names": "give data of the same items",
    }
    for name, hint in hints.items():
        if name in ours and name in theirs and _ids(ours[name]) != _ids(theirs[name]):
            raise ValueError(
                f"init_from.path {str(folder)!r} learned with other {name.replace('_', ' ')} than "
                f"these data have, so that ids stand for other things: {hint}, or leave the table "
                "out by init_from.skip=('^encoder/table$',)"
            )


def check_heads(folder: Path, config: Any) -> None:
    """Refuse a run with other numbers of attention heads, which no shape tells."""
    ours, theirs = _heads(config.get("model", {})), _heads(model_of(folder))
    for key in ours.keys() & theirs.keys():
        block = f"{key.split('.')[-2].replace('model', 'encoder')}/transformer/block00/attn/out"
        if ours[key] != theirs[key] and not found_in(config.init_from.skip, {block + "/kernel"}):
            raise ValueError(
                f"init_from.path {str(folder)!r} has {theirs[key]} attention heads where this model"
                f" has {ours[key]}: set {key}={theirs[key]}, or begin those blocks anew by "
                f"init_from.skip=('^{block.partition('/')[0]}/',)"
            )


def other_sizes(folder: Path, config: Any) -> str:
    """Name keys of the model with other values in a run, as a hint where shapes differ; or ""."""
    ours = flatten({"model": config.get("model", {})})
    theirs = {key: x for key, (x, beside) in SMALLER.items() if beside in ours}
    theirs |= flatten({"model": model_of(folder)})
    parts = [
        f"{key}={_tuples(theirs[key])!r} in place of {x!r}"
        for key, x in ours.items()
        if key in theirs and _tuples(theirs[key]) != _tuples(x) and key not in _OF_NO_SHAPE
    ]
    return f"there the model has {', '.join(parts)}" if parts else ""


def _tuples(value: Any) -> Any:
    """A value of a config, lists of a file as the tuples that they were."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def model_of(folder: Path) -> dict[str, Any]:
    """The keys "model" of a run's config, and the "grid" of its patches where it has some."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((folder / workdir.CONFIG).read_text())
        model = dict(record["config"]["model"])
        with contextlib.suppress(ValueError, KeyError, TypeError):
            model["grid"] = grid_shape(record["data"]["shape"], model["patch_size"])
        return model
    return {}


def _ids(said: Any) -> Any:
    """What ids stand for, of what data say of themselves: a tokenizer's vocabulary, or names."""
    if isinstance(said, Mapping) and "json" in said:
        return json.loads(said["json"])["model"].get("vocab")
    return said


def _heads(model: Any) -> dict[str, int]:
    """Numbers of heads by key of a config; of named sizes too."""
    tables = {"encoder": encoder_sizes, "decoder": decoder_sizes}
    parts = {f"model.{name}": (model[name], tables[name]) for name in tables if name in model}
    if "heads" in model:
        parts["model"] = (model, text_sizes)
    size = model.get("size", "")
    found = {
        f"{name}.heads": part.get("heads", 0) or table[size].num_heads
        for name, (part, table) in parts.items()
        if part.get("heads", 0) or size in table
    }
    return found
