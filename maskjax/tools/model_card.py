"""The model card beside an export: what it is, on what it was trained, and how good it was found.

Sections follow Mitchell et al. 2019 (Model Cards for Model Reporting) as far as a run can tell.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from maskjax import masking
from maskjax import workdir as layout
from maskjax.config import base, flatten
from maskjax.evaluation.intervals import wilson
from maskjax.tools.saved import Saved
from maskjax.workdir.leaves import params_sha256
from maskjax.workdir.lines import NO_NUMBERS, judged_lines
from maskjax.workdir.tables import read_tables

UNKNOWN_LICENCE = "not known: say it with --licence"


def card(run: Saved, facts: Mapping[str, Any], lines: Sequence[str], licence: str) -> str:
    """Write the card of an export.

    Args:
        run: what was exported.
        facts: of the export: "format", "made", "versions" and, of programs, "inputs", "programs".
        lines: what the format said of its files.
        licence: of the weights, "" where nobody said.

    Returns:
        Markdown.
    """
    record = json.loads((run.folder / layout.CONFIG).read_text())
    config, step = run.config, int(run.state.step)
    parts = [
        f"# {config.task}, trained on {config.data.source}",
        f"Exported as {facts['format']} on {facts['made']}, from step {step} of a maskjax run.",
        "## Files",
        *(f"- {line}" for line in lines),
        *_uses(facts),
        "## Data",
        *_data(config, record),
        "## Metrics",
        *_metrics(run, record),
        "## Config",
        "What differs from the trainer's defaults, and the task's own keys:",
        *_config(config),
        "## Provenance",
        f"- parameters: SHA-256 {params_sha256(run.state.eval_params)} at step {step}",
        *_origin(config, record, licence),
        f"- code: revision {record.get('git_revision') or 'not known'}",
        f"- versions of the training run: {_pairs(record.get('versions', {}))}",
        f"- versions of the export: {_pairs(facts['versions'])}",
        "## Limits",
        "What holds for the data above need not hold for other data; intervals are those of this "
        "one run on this one split, and say nothing of another seed.",
    ]
    blocks = [part if part.startswith("- ") else f"\n{part}\n" for part in parts]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(blocks)).lstrip()


def _uses(facts: Mapping[str, Any]) -> list[str]:
    if "inputs" not in facts:
        return []
    inputs = [
        f"- `{name}`, {entry['dtype']} {_shape(entry)}: {entry['meaning']}"
        for name, entry in facts["inputs"].items()
    ]
    outputs = [
        f"- `{name}` of {', '.join(program['inputs'])}: "
        + ", ".join(f"{key} {entry['dtype']} {_shape(entry)}" for key, entry in outputs.items())
        for name, program in facts["programs"].items()
        for outputs in (program["outputs"],)
    ]
    names = facts.get("class_names")
    classes = [f"- classes, in their order: {', '.join(names)}"] if names else []
    return ["## Inputs", *inputs, "## Outputs", *outputs, *classes, "## Use", facts["use"]]


def _shape(entry: Mapping[str, Any]) -> str:
    return f"[{', '.join(map(str, entry['shape']))}]"


def _data(config: Any, record: Mapping[str, Any]) -> list[str]:
    data = record.get("data") or {}
    numbers = [f"{data.get(f'num_{name}', 0)} {name}" for name in ("train", "validation", "test")]
    prints = {name: value for name, value in data.get("fingerprints", {}).items() if value}
    names = data.get("class_names")
    classes = f"{data.get('num_classes') or 'no'} classes" + (
        f": {', '.join(names)}" if names else ""
    )
    return [
        f"- source: `{config.data.source}`",
        f"- examples: {', '.join(numbers)}; {classes}",
        f"- fingerprints: {_pairs(prints) or 'not known'}",
        "- licence of the data: not known to the run; look where they come from",
    ]


def _metrics(run: Saved, record: Mapping[str, Any]) -> list[str]:
    """Write the judged numbers, with intervals where they are shares of the examples."""
    judged = judged_lines(run.folder, layout.read_summary(run.folder) or {})
    # Of corrupted examples there may be fewer, and each is counted once a severity.
    kinds = filter(None, (*run.config.eval.corruptions, "corrupted"))
    corrupted = tuple(f"accuracy_{kind}" for kind in kinds)
    rows = []
    tables = read_tables(run.folder, judged)
    for split in ("test", "validation"):
        known = tables.get(split, {}).get("intervals")
        known = known.as_dict() if known else {}
        count = (record.get("data") or {}).get(f"num_{split}") or 0
        for name, value in judged.get(split, {}).items():
            if name in NO_NUMBERS or isinstance(value, bool | str) or value is None:
                continue
            is_share = "accuracy" in name and not name.startswith(corrupted) and 0 <= value <= 1
            ends = wilson(value, count) if is_share and count else None
            ends = (known[name]["low"], known[name]["high"]) if name in known else ends
            shown = "{:.4f} to {:.4f}".format(*ends) if ends else ""
            rows.append(f"| {split} | {name} | {value:.4f} | {shown} |")
    if not rows:
        return ["The run has judged no held-out examples yet."]
    table = ["| split | metric | value | 95 % interval |", "|---|---|---|---|", *rows]
    return [
        "\n".join(table),
        "Intervals are over the examples of the split: of accuracies Wilson's score interval, of "
        "means over classes a bootstrap of the confusion matrix. Other metrics have none.",
    ]


def _config(config: Any) -> list[str]:
    defaults = flatten(base())
    changed = {
        name: value
        for name, value in flatten(config).items()
        if name not in defaults or defaults[name] != value
    }
    own = config.get("mask", {}).get("rule")
    others = tuple(f"mask.{rule}." for rule in masking.RULES if rule != own)
    changed = {name: value for name, value in changed.items() if not name.startswith(others)}
    return [f"- `{name}` = `{value!r}`" for name, value in sorted(changed.items())]


def _origin(config: Any, record: Mapping[str, Any], licence: str) -> list[str]:
    start = config.init_from.path
    if not start:
        given = licence or "that of whoever trained them"
        return ["- began from: random parameters", f"- licence of the weights: {given}"]
    known = {
        key: value for key, value in (record.get("init_from") or {}).items() if "sha256" in key
    }
    return [
        f"- began from: `{start}` {_pairs(known)}".rstrip(),
        f"- licence of the weights it began from: {licence or UNKNOWN_LICENCE}",
    ]


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
