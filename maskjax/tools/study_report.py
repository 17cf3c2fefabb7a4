"""What came out of a study: tables, a plot, the best run, and the commands behind them."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from maskjax.evaluation.comparison import average, paired_difference
from maskjax.evaluation.figures import save_figure
from maskjax.evaluation.figures.comparison import comparison_panel
from maskjax.evaluation.figures.ranges import ranges_panel
from maskjax.paths import atomic_file
from maskjax.tools.study import RUNS, Study, StudyRun, named
from maskjax.tools.study_computed import computed
from maskjax.tools.study_derived import with_derived
from maskjax.tools.study_run import Measured, check_metrics, measured, number
from maskjax.tools.study_table import Row, markdown, quantiles
from maskjax.workdir.lines import validated

SPLITS = ("validation", "test")
MARKDOWN, TABLE, BEST, COMMANDS, PLOT, CURVES = (
    "table.md", "table.csv", "best.json", "commands.txt", "comparison.png", "curves.png",
)  # fmt: skip
# Numbers of seeds, by setting.
Values = dict[str, dict[int, float]]


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
    if study.compute:
        found = computed(study, folder)
    else:
        found = {run.name: measured(folder / RUNS / run.name) for run in runs}
    done = {name: numbers for name, numbers in found.items() if numbers is not None}
    check_metrics(study, done)
    done = with_derived(study, runs, done, folder)
    rows = list(table(study, runs, done))
    beside = _beside(study, runs, done)
    many = {it: _values(runs, done, "validation", it) for it in study.metrics}
    told = [*markdown(study, rows, beside), *quantiles(study, many), *_absent(runs, done, failed)]
    text = "\n".join(told) + "\n"
    _write(folder / MARKDOWN, text)
    _write(folder / TABLE, _csv(rows))
    if not study.compute:
        first = {one.name: one for run in runs for one in study.before(run, folder)}
        every = first | {run.name: run for run in runs}
        _write(folder / COMMANDS, "".join(run.command(folder) + "\n" for run in every.values()))
    for at, (place, mine) in enumerate(_by_column(study, runs, done).items()):
        if at == 0:
            _write(folder / BEST, json.dumps(best(study, mine, done, folder), indent=2) + "\n")
        values = {name: _values(mine, done, "validation", name) for name in study.metrics}
        values = {name: found for name, found in values.items() if any(found.values())}
        marks = {name: found for name, found in beside.items() if found}
        title = f"{study.name}: {place}" if place else study.name
        path = folder / (f"{Path(PLOT).stem}-{place}.png" if place else PLOT)
        save_figure(comparison_panel(values, marks=marks, title=title), path)
    if study.curves:
        _draw_curves(study, runs, done, folder)
    return text


def _draw_curves(
    study: Study, runs: list[StudyRun], done: Mapping[str, Measured], folder: Path
) -> None:
    """Draw the metrics against what varies: steps of each run, or an axis of numbers."""
    curves: dict[str, dict[str, dict[float, list[float]]]] = {it: {} for it in study.metrics}
    levels: dict[str, dict[str, float]] = {it: {} for it in study.metrics}
    for metric, lines in curves.items():
        if study.curves == "step":
            for run in runs:
                line = lines.setdefault(run.setting.name, {})
                for step, x in validated(folder / RUNS / run.name, metric).items():
                    line.setdefault(step, []).append(x)
            continue
        for setting, of_seeds in _values(runs, done, "validation", metric).items():
            place = dict(next(it.place for it in study.settings if it.name == setting))
            if (at := place.pop(study.curves, None)) is not None:
                lines.setdefault(named(place), {})[float(at)] = [*of_seeds.values()]
            elif of_seeds:
                levels[metric][setting] = average([*of_seeds.values()]).mean
    places = (ys for lines in curves.values() for line in lines.values() for ys in line.values())
    if any(ys and all(map(math.isfinite, ys)) for ys in places):
        along = study.curves.rpartition(".")[2]
        figure = ranges_panel(curves, levels=levels, along=along, title=study.name)
        save_figure(figure, folder / CURVES)


def _by_column(
    study: Study, runs: list[StudyRun], done: Mapping[str, Measured]
) -> dict[str, list[StudyRun]]:
    """Gather runs by their column in the tables, where one has the first metric; "" without one."""
    found: dict[str, list[StudyRun]] = {}
    for run in runs:
        found.setdefault(run.setting.place.get(study.columns, ""), []).append(run)
    first = next(iter(study.metrics))
    return {
        place: mine
        for place, mine in found.items()
        if any(_values(mine, done, "validation", first).values())
    }


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
        "mean"; "run", "seed" and "value" of the best single run, and where it was trained its
        "workdir" and "command". A setting with a run that gave no finite number is the worst; None
        is no number.
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
    there = {"workdir": str(folder / RUNS / run.name), "command": run.command(folder)}
    return {
        "metric": metric,
        "direction": direction,
        "split": "validation",
        "setting": setting,
        "mean": _finite(means[setting]),
        "run": run.name,
        "seed": run.seed,
        "value": _finite(values[run.setting.name][run.seed]),
        **({} if study.compute else there),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


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
