"""What came out of a study: tables, a plot, the best run, and the commands behind them."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from maskjax.evaluation.comparison import Average, Difference, average, paired_difference
from maskjax.evaluation.figures import save_figure
from maskjax.evaluation.figures.comparison import comparison_panel
from maskjax.paths import atomic_file
from maskjax.tools.study import RUNS, Study, StudyRun
from maskjax.tools.study_run import Measured, check_metrics, measured, number

SPLITS = ("validation", "test")
MARKDOWN, TABLE, BEST, COMMANDS, PLOT = (
    "table.md", "table.csv", "best.json", "commands.txt", "comparison.png",
)  # fmt: skip
# Numbers of seeds, by setting.
Values = dict[str, dict[int, float]]


class Row(NamedTuple):
    """One line of the table: a setting by one metric on one split.

    Attributes:
        metric: its name.
        split: "validation" or "test".
        setting: its name.
        average: over its seeds.
        baseline: the setting it is compared with, "" for none.
        difference: to the baseline, seed by seed; None without one.
    """

    metric: str
    split: str
    setting: str
    average: Average
    baseline: str
    difference: Difference | None


def write(study: Study, folder: Path, failed: Mapping[str, str]) -> str:
    """Write table.md, table.csv, commands.txt and, of what is finished, best.json and a plot.

    Args:
        study: from `study.load`.
        folder: of the study.
        failed: what ended each run that failed, by name.

    Returns:
        The tables and what is missing, in Markdown.

    Raises:
        ValueError: runs are finished and none of them has a metric that the study compares.
    """
    runs = study.runs(folder)
    found = {run.name: measured(folder / RUNS / run.name) for run in runs}
    done = {name: numbers for name, numbers in found.items() if numbers is not None}
    check_metrics(study, done)
    rows = list(table(study, runs, done))
    beside = _beside(study, runs, done)
    text = "\n".join([*_markdown(study, rows, beside), *_absent(runs, done, failed)]) + "\n"
    _write(folder / MARKDOWN, text)
    _write(folder / TABLE, _csv(rows))
    first = {one.name: one for run in runs for one in study.before(run, folder)}
    commands = [run.command(folder) + "\n" for run in (*first.values(), *runs)]
    _write(folder / COMMANDS, "".join(commands))
    if done:
        _write(folder / BEST, json.dumps(best(study, runs, done, folder), indent=2) + "\n")
        values = {name: _values(runs, done, "validation", name) for name in study.metrics}
        marks = {name: found for name, found in beside.items() if found}
        save_figure(comparison_panel(values, marks=marks, title=study.name), folder / PLOT)
    return text


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(text)


def _values(runs: list[StudyRun], done: Mapping[str, Measured], split: str, metric: str) -> Values:
    """Gather a metric of the finished runs; settings without any are there, empty."""
    values: Values = {run.setting.name: {} for run in runs}
    for run in runs:
        value = number(done.get(run.name, {}), split, metric)
        if value is not None:
            values[run.setting.name][run.seed] = value
    return values


def _beside(
    study: Study, runs: list[StudyRun], done: Mapping[str, Measured]
) -> dict[str, dict[str, dict[str, float]]]:
    """Average what stands beside a metric: {metric: {other: {setting: mean}}}."""
    found = {}
    for metric, others in study.beside.items():
        values = {other: _values(runs, done, "validation", other) for other in others}
        found[metric] = {
            other: {name: average(list(of.values())).mean for name, of in settings.items()}
            for other, settings in values.items()
        }
    return found


def table(study: Study, runs: list[StudyRun], done: Mapping[str, Measured]) -> Iterator[Row]:
    """Compare the settings by every metric, on validation and, where there are any, on test.

    Args:
        study: whose metrics and baselines are read.
        runs: all runs.
        done: the numbers of those that are finished, by name.

    Yields:
        One row for each metric, split and setting.
    """
    for metric in study.metrics:
        for split in SPLITS:
            values = _values(runs, done, split, metric)
            if split == "test" and not any(values.values()):
                continue
            for setting, of_seeds in values.items():
                baseline = study.baselines.get(setting, "")
                difference = paired_difference(of_seeds, values[baseline]) if baseline else None
                numbers = average(list(of_seeds.values()))
                yield Row(metric, split, setting, numbers, baseline, difference)


def best(
    study: Study, runs: list[StudyRun], done: Mapping[str, Measured], folder: Path
) -> dict[str, Any]:
    """Find the best setting and the best run by the first metric, on validation.

    Args:
        study: whose first metric is read.
        runs: all runs.
        done: the numbers of those that are finished, by name, one or more.
        folder: of the study.

    Returns:
        "metric", "direction", "split"; "setting" of the best mean over its seeds, with that
        "mean"; "run", "seed", "value", "workdir" and "command" of the best single run. A setting
        with a run that gave no finite number is the worst; None is no number.
    """
    metric, direction = next(iter(study.metrics.items()))
    values = _values(runs, done, "validation", metric)
    sign = 1 if direction == "max" else -1

    def goodness(value: float) -> float:
        return sign * value if math.isfinite(value) else -math.inf

    means = {name: average(list(of.values())).mean for name, of in values.items() if of}
    setting = max(means, key=lambda name: goodness(means[name]))
    judged = [run for run in runs if run.seed in values[run.setting.name]]
    run = max(judged, key=lambda run: goodness(values[run.setting.name][run.seed]))
    return {
        "metric": metric,
        "direction": direction,
        "split": "validation",
        "setting": setting,
        "mean": _finite(means[setting]),
        "run": run.name,
        "seed": run.seed,
        "value": _finite(values[run.setting.name][run.seed]),
        "workdir": str(folder / RUNS / run.name),
        "command": run.command(folder),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _markdown(
    study: Study, rows: list[Row], beside: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> Iterator[str]:
    """One table a metric: mean and deviation, what stands beside, difference to the baseline."""
    yield f"# {study.name}"
    yield ""
    yield (
        "Mean ± sample standard deviation over seeds; difference to the baseline, paired by seed, "
        "with its 95 % interval (Student's t); bold where the interval leaves 0 out."
    )
    for metric, direction in study.metrics.items():
        yield ""
        yield f"## {metric} ({'higher' if direction == 'max' else 'lower'} is better)"
        yield ""
        mine = [row for row in rows if row.metric == metric]
        tested = {row.setting: row for row in mine if row.split == "test"}
        others = beside.get(metric, {})
        heads = ["setting", "runs", "validation", *others, "difference", "to"]
        heads += ["test", "difference on test"] if tested else []
        yield f"| {' | '.join(heads)} |"
        yield f"|{'---|' * len(heads)}"
        for row in mine:
            if row.split == "validation":
                cells = [row.setting, str(row.average.count), _spread(row.average)]
                cells += [_plain(means[row.setting]) for means in others.values()]
                cells += [_interval(row.difference), row.baseline]
                if tested:
                    other = tested[row.setting]
                    cells += [_spread(other.average), _interval(other.difference)]
                yield f"| {' | '.join(cells)} |"


def _spread(of: Average) -> str:
    if not of.count:
        return "missing"
    return f"{of.mean:.4g} ± {of.std:.2g}" if of.count > 1 else f"{of.mean:.4g}"


def _plain(mean: float) -> str:
    return f"{mean:.4g}" if math.isfinite(mean) else ""


def _interval(of: Difference | None) -> str:
    if of is None or not of.count:
        return ""
    if of.count == 1:
        return f"{of.mean:+.3g}"
    text = f"{of.mean:+.3g} [{of.low:+.3g}, {of.high:+.3g}]"
    return f"**{text}**" if of.is_clear else text


def _absent(
    runs: list[StudyRun], done: Mapping[str, Any], failed: Mapping[str, str]
) -> Iterator[str]:
    """Say which runs are not there."""
    absent = [run.name for run in runs if run.name not in done]
    if absent:
        yield ""
        yield f"Missing are {len(absent)} of {len(runs)} runs; the same command trains them:"
        yield ""
        yield from (
            f"- {name}" + (f": failed, {failed[name]}" if name in failed else "") for name in absent
        )


def _csv(rows: list[Row]) -> str:
    """Write one line for each metric, split and setting; empty where there is no number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = ["metric", "split", "setting", "runs", "mean", "std"]
    writer.writerow([*heads, "baseline", "pairs", "difference", "low", "high"])
    for row in rows:
        numbers = [row.average.count, row.average.mean, row.average.std]
        compared = row.difference
        others = [compared.count, compared.mean, compared.low, compared.high] if compared else []
        cells = [row.metric, row.split, row.setting, *numbers, row.baseline, *others]
        cells += [""] * (11 - len(cells))
        writer.writerow(["" if cell != cell else cell for cell in cells])  # NaN is no number
    return text.getvalue()
