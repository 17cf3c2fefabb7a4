"""Text encoders of transformers: read as parameters, made to fit a model, written again."""

import dataclasses
import json
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from maskjax.interop import dialect, hf_text, hf_text_config, layout
from maskjax.interop.files import CONFIG, WEIGHTS
from maskjax.interop.hf_text_config import CLASSES, TextFacts
from maskjax.models.sizes import Size
from maskjax.models.text import TextArchitecture, text_shapes
from maskjax.spelling import listed

IDS = ("dense", "norm", "bias")  # by their first words: of the head that predicts ids
PARTS = ("encoder", *IDS, "head")
UNREAD = ("pooler", "next_sentence")  # what weights may have and nothing here reads
_POSITIONS = "encoder/positions"
# What of a file begins a head of classes that it has not, by its form.
_BEGINS = {
    "bert": {"pooler": "head/dense"},
    "modernbert": {"dense": "head/dense", "norm": "head/norm"},
}
_KINDS = {"ids": "ForMaskedLM", "labels": "ForTokenClassification", "": "Model"}
_KINDS |= {"classes": "ForSequenceClassification"}


def read_text(
    arrays: Mapping[str, np.ndarray], config: Mapping[str, Any] | None, place: str
) -> tuple[dict[str, np.ndarray], TextArchitecture]:
    """Turn tensors of BERT, RoBERTa or ModernBERT into parameters of `models.text`.

    Args:
        arrays: by the names of transformers.
        config: of the config.json beside them.
        place: the file, for messages.

    Returns:
        {path: array}, float32, and what they are of. A tensor without a place in maskjax has its
        own name, with slashes. RoBERTa's unused rows of positions are left out.

    Raises:
        ValueError: tensors are missing or do not fit, or it is a model that maskjax's is not.
    """
    facts = hf_text_config.text_facts(config, place)
    arrays = hf_text.cleaned(arrays, place)
    spoken = dialect.best((*hf_text.DIALECTS[facts.form].values(),), arrays)
    _check_whole(spoken, arrays, facts.form, place)
    params = layout.from_torch(dialect.to_paths(spoken, arrays))
    if facts.pool == "class" and facts.form == "bert":
        _renamed(params, {"pooler": "head/dense"})
    architecture = _described(params, facts, place)
    if facts.unused_positions:
        params[_POSITIONS] = params[_POSITIONS][facts.unused_positions :]
    layout.check_shapes(params, text_shapes(architecture), place)
    return params, architecture


def fit_text(
    params: dict[str, np.ndarray],
    theirs: TextArchitecture,
    model: TextArchitecture,
    wanted: Mapping[str, tuple[int, ...]],
    place: str,
) -> list[str]:
    """Make parameters fit a model, in place, or say why they cannot.

    Args:
        params: of `read_text`.
        theirs: what they are of.
        model: what they are to fit.
        wanted: {path: shape} of the model's parameters that shall come from them.
        place: where they are from, for messages.

    Returns:
        What was done, in words.

    Raises:
        ValueError: they are of another architecture; all differences are named with both numbers.
    """
    notes = begin_head(params, theirs.form, wanted)
    for part in UNREAD:
        paths = [path for path in params if path.startswith(f"{part}/")]
        for path in paths:
            del params[path]
        if paths:
            notes.append(f"a {part}, which nothing here reads, is left out")
    has_table = _POSITIONS in wanted and theirs.max_length > 0
    if has_table and theirs.max_length > model.max_length > 0:
        params[_POSITIONS] = params[_POSITIONS][: model.max_length]
        notes.append(f"of {theirs.max_length} positions the first {model.max_length} are taken")
        theirs = dataclasses.replace(theirs, max_length=model.max_length)
    ours, others = _pattern(model), _pattern(theirs)
    if "head/kernel" in wanted and "head/kernel" in params:
        ours |= _head(model.pool, wanted["head/kernel"])
        others |= _head(theirs.pool, params["head/kernel"].shape)
    problems = [
        f"{what} {there} there, {here} here"
        for (what, there), here in zip(others.items(), ours.values(), strict=True)
        if there != here
    ]
    if problems and any(path.split("/")[0] in PARTS for path in wanted):
        raise ValueError(
            f"{place} is of another architecture than this config's model: {', '.join(problems)}; "
            "set these as there, or give other weights"
        )
    return notes


def begin_head(params: dict[str, Any], form: str, wanted: Container[str]) -> list[str]:
    """Begin a head of classes with the layer of the head that is there, as transformers does.

    Args:
        params: {path: array}, changed in place where they lack that layer.
        form: of the encoder.
        wanted: paths of the model's parameters that shall come from them.

    Returns:
        What was done, in words.
    """
    layer = "head/dense/kernel"
    if layer in params or layer not in wanted or not _renamed(params, _BEGINS.get(form, {})):
        return []
    return ["the head begins with the layer that its own has, as in transformers"]


def write_text(
    folder: Path,
    params: Mapping[str, Any],
    architecture: TextArchitecture,
    special: Mapping[str, int],
    *,
    part: str = "",
    class_names: Sequence[str] = (),
) -> list[str]:
    """Write parameters into an empty folder, for transformers.

    Args:
        folder: it exists.
        params: {path: array}.
        architecture: what they are of.
        special: ids of special tokens that config.json says, such as {"pad_token_id": 0}; RoBERTa's
            positions begin behind the row of its padding.
        part: "encoder" to leave the head out.
        class_names: of a head of classes or labels; () where they have none.

    Returns:
        Lines for the user: how it is loaded, and what was left out.

    Raises:
        ValueError: parameters are missing, of another shape, or transformers has no such head.
    """
    said = _said(params, architecture) if not part else ""
    spoken = hf_text.DIALECTS[architecture.form][said]
    shapes = text_shapes(architecture)
    wanted = {path for path in shapes if said == "ids" or path.startswith("encoder/")}
    if said in ("classes", "labels"):
        shapes = {
            **shapes,
            **{path: np.shape(x) for path, x in params.items() if path[:4] == "head"},
        }
        wanted |= {path for path in spoken.tensors({}) if path.startswith("head/")}
        count = len(params["head/bias"])
        class_names = class_names or [f"LABEL_{i}" for i in range(count)]
    found = {path: np.shape(leaf) for path, leaf in params.items()}
    if wrong := [path for path in sorted(wanted) if found.get(path) != shapes.get(path)]:
        raise ValueError(
            f"this is no whole {architecture.form}: {listed(wrong)} missing or of another shape"
        )
    kept = {path: np.asarray(params[path]) for path in wanted}
    kind = f"{CLASSES[architecture.form]}{_KINDS[said]}"
    names = class_names if said in ("classes", "labels") else ()
    config = hf_text_config.text_config(architecture, kind, special, names)
    if architecture.form == "roberta":
        unused = 1 + hf_text_config.padding_id(architecture, special)
        kept[_POSITIONS] = np.pad(kept[_POSITIONS], ((unused, 0), (0, 0)))
    tensors = dialect.to_names(spoken, layout.to_torch(kept, (), modules=spoken.block))
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)  # safetensors closes it to other readers
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    has_pooler = not said and architecture.form != "modernbert"
    options = ", add_pooling_layer=False" if has_pooler else ""
    lines = [f"load it by transformers.{kind}.from_pretrained(FOLDER{options})"]
    if left := sorted(set(params) - wanted):
        lines.append(f"left out: {listed(left)}")
    return lines


def _said(params: Mapping[str, Any], architecture: TextArchitecture) -> str:
    """What the head says: a kind of `hf_text.DIALECTS`."""
    if "head/kernel" not in params:
        return "ids" if "bias" in params else ""
    if architecture.pool == "mean" and architecture.form != "modernbert":
        raise ValueError(
            f"transformers' {CLASSES[architecture.form]} reads classes off the first token, and "
            "this model off the mean (model.pool 'mean'): give --part=encoder, or "
            "--format=stablehlo"
        )
    return "labels" if architecture.pool == "each" else "classes"


def _renamed(params: dict[str, Any], names: Mapping[str, str]) -> bool:
    """Give modules other paths, in place; whether there were any."""
    found = {path: path.partition("/") for path in params}
    found = {path: parts for path, parts in found.items() if parts[0] in names and parts[2]}
    for path, (old, _, rest) in found.items():
        params[f"{names[old]}/{rest}"] = params.pop(path)
    return bool(found)


def _head(pool: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """What two heads of classes must share."""
    skip = "or leave it out: init_from.skip=('^head/',)"
    return {"what the head reads (model.pool)": pool, f"outputs of the head ({skip})": shape[-1]}


def _check_whole(
    spoken: dialect.Dialect, arrays: Mapping[str, np.ndarray], form: str, place: str
) -> None:
    """Refuse a file that lacks tensors of the encoder, or of the head where it has some."""
    expected = spoken.tensors(spoken.depths(arrays))
    parts = {path.split("/")[0] for path, name in expected.items() if name in arrays}
    needed = {"encoder", *(IDS if parts & {*IDS} else ()), *(parts & {"head"})}
    missing = [
        name
        for path, name in expected.items()
        if name not in arrays and path.split("/")[0] in needed and not _is_optional(path, form)
    ]
    if not any("/block00/" in path for path in expected):
        missing.append(f"{spoken.stacks[hf_text.STACK]}.0")
    if missing:
        raise ValueError(f"{place} lacks {listed(missing)}: fetch the whole file")


def _is_optional(path: str, form: str) -> bool:
    """The first attention of a ModernBERT reads what is normalised already."""
    return form == "modernbert" and path == f"{hf_text.STACK}/block00/norm1/scale"


def _described(params: Mapping[str, np.ndarray], facts: TextFacts, place: str) -> TextArchitecture:
    """Find the architecture in the shapes."""
    num_ids, width = params["encoder/table"].shape
    found = {
        "vocabulary": num_ids,
        "width": width,
        "depth": layout.depth_of(params, hf_text.STACK),
        "hidden": params[f"{hf_text.STACK}/block00/mlp/fc1/kernel"].shape[-1],
        "positions": len(params.get(_POSITIONS, ())),
        "types": len(params.get("encoder/types", ())),
    }
    for what, (key, number) in facts.claims.items():
        if found[what] != number:
            raise ValueError(
                f"{place}: config.json says {key} {number}, and the tensors have {found[what]}: "
                "they do not belong together"
            )
    if not facts.heads or width % facts.heads:
        raise ValueError(
            f"{place}: config.json says {facts.heads} heads, which do not divide the width {width}"
        )
    return TextArchitecture(
        form=facts.form,
        num_ids=num_ids,
        size=Size(width, found["depth"], facts.heads),
        hidden=found["hidden"],
        norm_eps=facts.norm_eps,
        max_length=max(found["positions"] - facts.unused_positions, 0),
        num_types=found["types"],
        theta=facts.theta,
        local_theta=facts.local_theta,
        window=facts.window,
        global_every=facts.global_every,
        pool=facts.pool if "head/kernel" in params else "",
    )


def _pattern(it: TextArchitecture) -> dict[str, Any]:
    """What two models must share, by words and the keys of a config; the form by what it means."""
    is_local = [it.window > 0 and i % it.global_every > 0 for i in range(it.size.depth)]
    return {
        "form (model.form)": "modernbert" if it.form == "modernbert" else "bert or roberta",
        "vocabulary": it.num_ids,
        "width (model.width)": it.size.width,
        "depth (model.depth)": it.size.depth,
        "heads (model.heads)": it.size.num_heads,
        "MLP width (model.hidden)": it.hidden,
        "heads and MLP width of each block (model.kept)": it.kept,
        "LayerNorm epsilon (model.epsilon)": it.norm_eps,
        "positions (model.max_length)": it.max_length,
        "token types": it.num_types,
        "local blocks": is_local,
        "window": it.window if any(is_local) else 0,
        "base of global positions": it.theta if not all(is_local) else 0,
        "base of local positions": it.local_theta if any(is_local) else 0,
    }
