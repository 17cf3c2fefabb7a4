"""The tables of a study in Markdown: a line a setting, or a column a value of an axis."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from maskjax.evaluation.comparison import Average, Difference
from maskjax.tools.study import Study, named

MANY = 20  # seeds: with fewer there are no quantiles
_SHARES = (0.0, 0.05, 0.5, 0.95, 1.0)


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


def markdown(
    study: Study, rows: Sequence[Row], beside: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> Iterator[str]:
    """Write each metric of each setting, and how it differs from its baseline.

    Args:
        study: whose metrics and columns are read.
        rows: of every metric, split and setting.
        beside: {metric: {other: {setting: mean}}}, what stands beside a metric.

    Yields:
        Lines.
    """
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
        yield from (
            _wide(study, mine) if study.columns else _long(study, mine, beside.get(metric, {}))
        )


def _long(
    study: Study, mine: Sequence[Row], others: Mapping[str, Mapping[str, float]]
) -> Iterator[str]:
    """A line a setting: validation, what stands beside, the difference, and test."""
    tested = {row.setting: row for row in mine if row.split == "test"}
    mean = "mean" if study.compute else "validation"
    heads = ["setting", "runs", mean, *others, "difference", "to"]
    heads += ["test", "difference on test"] if tested else []
    yield from _heads(heads)
    for row in mine:
        if row.split == "validation":
            cells = [row.setting, str(row.average.count), _spread(row.average)]
            cells += [_plain(means[row.setting]) for means in others.values()]
            cells += [_interval(row.difference), row.baseline]
            if tested:
                other = tested[row.setting]
                cells += [_spread(other.average), _interval(other.difference)]
            yield _line(cells)


def _wide(study: Study, mine: Sequence[Row]) -> Iterator[str]:
    """Two tables with a column a value of `study.columns`: means, and differences.

    They are of the test split where runs have one; columns and lines without a number are left out.
    """
    split = "test" if any(row.split == "test" for row in mine) else "validation"
    places = {setting.name: dict(setting.place) for setting in study.settings}
    cells: dict[str, dict[str, Row]] = {}
    for row in mine:
        if row.split == split and row.average.count:
            place = places[row.setting]
            column = place.pop(study.columns, "")
            cells.setdefault(named(place) or row.setting, {})[column] = row
    columns = list(dict.fromkeys(column for line in cells.values() for column in line))
    yield from _heads(["mean" if study.compute else f"on {split}", *columns])
    for name, line in cells.items():
        found = (line.get(column) for column in columns)
        yield _line([name, *("" if row is None else _spread(row.average) for row in found)])
    compared = {
        name: line for name, line in cells.items() if any(_told(row) for row in line.values())
    }
    if compared:
        yield ""
        yield from _heads(["difference to the baseline", *columns])
        for name in compared:
            yield _line([name, *(_told(cells[name].get(column)) for column in columns)])


def quantiles(
    study: Study, values: Mapping[str, Mapping[str, Mapping[int, float]]]
) -> Iterator[str]:
    """Tell how numbers are spread over seeds, where there are many, and beside what is claimed.

    Where values of an axis are columns, there are too many settings to tell.

    Args:
        study: whose claims are read.
        values: {metric: {setting: {seed: number}}}.

    Yields:
        Lines: none where no setting has `MANY` seeds.
    """
    for metric, of_settings in values.items() if not study.columns else ():
        found = {name: [*of.values()] for name, of in of_settings.items() if len(of) >= MANY}
        if not found:
            continue
        claim = study.claims.get(metric)
        yield from ("", f"## {metric}: quantiles over seeds", "")
        heads = ["setting", "seeds", *(f"{share:.0%}" for share in _SHARES)]
        yield from _heads([*heads, *([] if claim is None else [f"share below {claim:g}"])])
        for name, numbers in found.items():
            cells = [f"{x:.4g}" for x in np.quantile(numbers, _SHARES)]
            cells += [] if claim is None else [f"{np.mean(np.array(numbers) < claim):.3g}"]
            yield _line([name, str(len(numbers)), *cells])


def _told(row: Row | None) -> str:
    return "" if row is None else _interval(row.difference)


def _heads(names: Sequence[str]) -> Iterator[str]:
    yield _line(names)
    yield f"|{'---|' * len(names)}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


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
