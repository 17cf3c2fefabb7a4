"""What a study is: one config, axes of overrides and seeds become runs.

`load` reads a study file (configs/studies/README.md says how one is written), `Study.runs` lists
its runs, study_run.py trains those that are not finished, study_report.py says what came out.
"""

import itertools
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from maskjax.config import check_ranges, complete, flatten
from maskjax.config import load as load_config
from maskjax.spelling import did_you_mean, unknown_name
from maskjax.tasks.options import dotted
from maskjax.tools import study_file
from maskjax.tools.startup import make_importable

RUNS = "runs"  # folder within the study's, one folder a run in it
START = "init_from.path"  # the key that names what a run starts from


class Setting(NamedTuple):
    """One of the things that a study compares.

    Attributes:
        name: such as "rule=block,mask.ratio=0.5"; of a listed setting its own.
        place: its value on each axis, by the axis's name; of a listed setting what the study says.
        overrides: dotted keys of the config.
    """

    name: str
    place: dict[str, str]
    overrides: dict[str, Any]


class StudyRun(NamedTuple):
    """One training run of a study.

    Attributes:
        setting: which.
        seed: of the run.
        name: of its folder.
        config: the whole config.
        flags: arguments of launch/train.py that make this config.
        base: its config file, with its variant.
    """

    setting: Setting
    seed: int
    name: str
    config: ConfigDict
    flags: tuple[str, ...]
    base: str = ""

    def command(self, folder: Path) -> str:
        """Write the command that trains this run in a study's folder, as a shell takes it."""
        words = ("python", "launch/train.py", *self.flags, f"--workdir={folder / RUNS / self.name}")
        return shlex.join(words)


class Start(NamedTuple):
    """What runs of a study may start from: one run a seed, trained before them.

    Attributes:
        base: its config file, with its variant.
        overrides: dotted keys of the config.
    """

    base: str
    overrides: dict[str, Any]


class Study(NamedTuple):
    """What is compared, by what.

    Attributes:
        name: file and variant.
        base: config file of all runs, with its variant.
        overrides: dotted keys, of every run.
        settings: what is compared.
        seeds: each setting is trained with each.
        metrics: "max" or "min" is better, by name; the first one decides which is best.
        beside: for metrics, others whose means are told beside them, such as a bound.
        baselines: for each setting with a baseline, the name of that.
        search: how further settings are found (study_search.py); {} for none.
        starts: by name; "{NAME}" as `init_from.path` stands for the run of the same seed, or for
            that of the setting of this name.
        columns: the axis whose values are the columns of the tables; "" = a line a setting.
        curves: what the metrics are drawn against: "step", or an axis of numbers; "" = nothing.
        compute: (seeds, **overrides) -> {metric: a number a seed}, in place of runs; None = runs.
        claims: numbers that others tell of metrics.
    """

    name: str
    base: str
    overrides: dict[str, Any]
    settings: tuple[Setting, ...]
    seeds: tuple[int, ...]
    metrics: dict[str, str]
    beside: dict[str, tuple[str, ...]]
    baselines: dict[str, str]
    search: Mapping[str, Any]
    starts: Mapping[str, Start] = MappingProxyType({})
    columns: str = ""
    curves: str = ""
    compute: Callable[..., Any] | None = None
    claims: Mapping[str, float] = MappingProxyType({})

    def runs(self, folder: Path = Path()) -> list[StudyRun]:
        """List all runs, one seed of every setting before the next seed.

        Args:
            folder: of the study.

        Raises:
            ValueError: an override that does not fit the config, or a number out of range.
        """
        return [
            self._run(self._placed(setting, seed, folder), seed)
            for seed in self.seeds
            for setting in self.settings
        ]

    def before(self, run: StudyRun, folder: Path) -> list[StudyRun]:
        """List what a run starts from, and before it what that starts from."""
        path = run.setting.overrides.get(START)
        for name, start in self.starts.items():
            if path == _path(f"{name},seed={run.seed}", folder):
                setting = self._placed(Setting(name, {}, start.overrides), run.seed, folder)
                theirs = self._replace(base=start.base, overrides={})
                found = theirs._run(setting, run.seed)
                return [*self.before(found, folder), found]
        for setting in self.settings:
            if path == _path(f"{setting.name},seed={run.seed}", folder):
                found = self._run(self._placed(setting, run.seed, folder), run.seed)
                return [*self.before(found, folder), found]
        return []

    def _placed(self, setting: Setting, seed: int, folder: Path) -> Setting:
        """Put the folder of a start in the place of its name."""
        name = str(setting.overrides.get(START, ""))
        if not (name.startswith("{") and name.endswith("}")):
            return setting
        known = [*self.starts, *(other.name for other in self.settings)]
        if name[1:-1] not in known or name[1:-1] == setting.name:
            wrong = unknown_name("start", name[1:-1], {*known} - {setting.name})
            raise ValueError(f"study {self.name}, setting {setting.name!r}: {wrong}")
        path = _path(f"{name[1:-1]},seed={seed}", folder)
        return setting._replace(overrides={**setting.overrides, START: path})

    def _run(self, setting: Setting, seed: int) -> StudyRun:
        name = f"{setting.name},seed={seed}"
        if self.compute:
            return StudyRun(setting, seed, name, ConfigDict(), ())
        changes = {**self.overrides, **setting.overrides, "seed": seed}
        config = _loaded(self.base, "get_config")
        make_importable(Path(self.base).parent)
        known = list(flatten(config))
        for key, value in changes.items():
            where = f"study {self.name}, setting {setting.name!r}"
            if key not in known:
                raise ValueError(f"{where}: {unknown_name('config key', key, known)}")
            try:
                config.update_from_flattened_dict({key: value})
            except (TypeError, ValueError) as error:
                raise ValueError(f"{where}: {key}={value!r} does not fit: {error}") from None
        check_ranges(complete(config))
        flags = [f"--config={self.base}"]
        flags += [f"--config.{key}={value}" for key, value in changes.items()]
        return StudyRun(setting, seed, name, config, tuple(flags), self.base)


def load(path: str) -> Study:
    """Read a study file.

    Args:
        path: a Python file with `get_study(variant)`, and where wanted a colon and a variant.

    Raises:
        ValueError: it does not say a study, or its own code fails.
        FileNotFoundError: there is no such file.
    """
    file, _, variant = path.partition(":")
    said = study_file.plain(_loaded(path, "get_study"))
    study_file.check(file, said)
    listed = _listed(said.get("settings", {}), said.get("places", {}))
    settings = (*_product(said.get("axes", {})), *listed)
    if bool(settings) == bool(said.get("search")):
        raise ValueError(f"{file}: a study needs 'axes' or 'settings' to compare, or a 'search'")
    names = [*(setting.name for setting in settings), *said.get("starts", {})]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{file}: two settings are named {name!r}: rename one")
    return Study(
        name=f"{Path(file).stem}:{variant}" if variant else Path(file).stem,
        base=_beside(file, said["base"]) if "base" in said else "",
        overrides=dict(said.get("overrides", {})),
        settings=settings,
        seeds=tuple(dict.fromkeys(said["seeds"])),
        metrics=dict(said["metrics"]),
        beside={metric: tuple(others) for metric, others in said.get("beside", {}).items()},
        baselines=_baselines(file, settings, said.get("baseline", "")),
        search=dict(said.get("search", {})),
        starts={
            name: Start(_beside(file, start["base"]), dict(start.get("overrides", {})))
            for name, start in said.get("starts", {}).items()
        },
        columns=said.get("columns", ""),
        curves=said.get("curves", ""),
        compute=_computing(said.get("compute")),
        claims=dict(said.get("claims", {})),
    )


def _computing(said: Any) -> Callable[..., Any] | None:
    """The function itself, or one by its dotted path."""
    return dotted("compute", said) if isinstance(said, str) else said


def _beside(file: str, path: str) -> str:
    """Find what a study file names from its own folder."""
    return os.path.relpath(Path(file).parent / path)


def _path(name: str, folder: Path) -> str:
    """The folder of a run by its name, wherever the study is called from."""
    return str((folder / RUNS / name).absolute())


def named(place: Mapping[str, Any]) -> str:
    """Name a setting by its places on axes, or by its keys, so that a folder may be named so.

    Example:
        >>> named({"rule": "block", "mask.ratio": 0.5, "data.source": "folder:/a/b"})
        'rule=block,ratio=0.5,source=folder:_a_b'
    """
    words = (f"{axis.rpartition('.')[2]}={label}" for axis, label in place.items())
    return ",".join(words).replace("/", "_")


def _product(axes: Mapping[str, Any]) -> Iterator[Setting]:
    """Every combination of one value an axis: values of a key, or labelled overrides."""
    columns = []
    for axis, values in axes.items():
        if isinstance(values, Mapping):
            columns.append([(axis, label, dict(changes)) for label, changes in values.items()])
        else:
            columns.append([(axis, str(value), {axis: value}) for value in values])
    for cells in itertools.product(*columns) if columns else ():
        place = {axis: label for axis, label, _ in cells}
        overrides = {key: value for _, _, changes in cells for key, value in changes.items()}
        yield Setting(named(place), place, overrides)


def _listed(
    settings: Mapping[str, Mapping[str, Any]], places: Mapping[str, Mapping[str, Any]]
) -> Iterator[Setting]:
    for name, overrides in settings.items():
        place = {axis: str(label) for axis, label in places.get(name, {}).items()}
        yield Setting(name.replace("/", "_"), place, dict(overrides))


def _baselines(
    file: str, settings: Sequence[Setting], said: str | Mapping[str, Any]
) -> dict[str, str]:
    """Find each setting's baseline: the named one, or its neighbour on the named axes."""
    by_place = {tuple(sorted(it.place.items())): it.name for it in settings if it.place}
    found = {}
    for setting in settings:
        if isinstance(said, str):
            found[setting.name] = said
        elif setting.place:
            place = setting.place | {axis: str(label) for axis, label in said.items()}
            found[setting.name] = by_place.get(tuple(sorted(place.items())), str(dict(said)))
    names = [setting.name for setting in settings]
    for name in filter(None, found.values()):
        if name not in names:
            raise ValueError(f"{file}: {unknown_name('baseline', name, names)}")
    return {name: other for name, other in found.items() if other and other != name}


def _loaded(path: str, function: str) -> Any:
    """Call a function of a study or config file; what the file raises becomes one line."""
    file = Path(path.partition(":")[0])
    if not file.is_file():
        known = sorted(str(other) for other in file.parent.glob("*.py"))
        raise FileNotFoundError(
            f"{file} does not exist{did_you_mean(str(file), known)}; known: {', '.join(known)}"
        )
    try:
        return load_config(path, function=function)
    except Exception as error:
        raise ValueError(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error
