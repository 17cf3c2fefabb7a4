"""Search: settings that are not known beforehand, each proposed from what the earlier ones gave.

The outer loop of the dynamic-mask papers is one: adjust the mask, train, score, keep the best. Here
a round is a setting of a study, its runs ordinary folders. As proposals depend on nothing but the
rounds before, an interrupted search goes on as if it had not been.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskjax.evaluation.comparison import average
from maskjax.tools import study_file, study_run
from maskjax.tools.study import RUNS, Setting, Study, named

_MOST_LETTERS = 80  # of a folder's name, which begins with the number of the round


class Round(NamedTuple):
    """What was tried.

    Attributes:
        overrides: of the config.
        value: mean of the study's first metric over seeds, on validation.
    """

    overrides: dict[str, Any]
    value: float


# From the rounds so far to the next one's overrides; None ends the search.
Proposer = Callable[[Sequence[Round]], Mapping[str, Any] | None]


def search(study: Study, folder: Path) -> tuple[Study, dict[str, str]]:
    """Run a study's search.

    Args:
        study: with a search.
        folder: of the study.

    Returns:
        The study with a setting for each round, and what ended each run that failed; as later
        rounds depend on it, the search ends there.

    Raises:
        ValueError: as `study_run.run`, or what is proposed is no dict of overrides.
        Preempted: told to stop.
    """
    propose, rounds = _proposer(study), study.search["rounds"]
    history: list[Round] = []
    for number in range(rounds):
        overrides = study_file.plain(propose(tuple(history)))
        if overrides is None:
            break
        study_file.check_overrides(study.name, f"what round {number} proposes", overrides)
        name = named({"round": f"{number:0{len(str(rounds - 1))}}", **overrides})
        setting = Setting(name[:_MOST_LETTERS], {}, dict(overrides))
        study = study._replace(settings=(*study.settings, setting))
        this = study._replace(settings=(setting,))
        failed = study_run.run(this, folder)
        if failed:
            return study, failed
        history.append(Round(setting.overrides, _value(this, folder)))
    return study, {}


def refuse_part(part: str) -> None:
    """Raise a ValueError where a search is to be split over machines."""
    if part:
        raise ValueError(f"--part={part}: the rounds of a search need each other; leave it out")


def _value(study: Study, folder: Path) -> float:
    """Average the first metric over the runs of a round."""
    metric = next(iter(study.metrics))
    found = [
        study_run.number(study_run.measured(folder / RUNS / run.name) or {}, "validation", metric)
        for run in study.runs()
    ]
    return average([math.nan if value is None else float(value) for value in found]).mean


def _proposer(study: Study) -> Proposer:
    """Take the study's own function, or a sampler over its space."""
    said = study.search
    if "propose" in said:
        return said["propose"]
    sampler, space, seed = said.get("sampler", "random"), said["space"], said.get("seed", 0)
    direction = next(iter(study.metrics.values()))
    if sampler == "optuna":
        return lambda history: _from_optuna(space, history, direction, seed)
    return lambda history: _drawn(space, np.random.default_rng((seed, len(history))))


def _drawn(space: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Draw each key by itself: uniformly between the two of a tuple, or one of a list."""

    def one(values: Any) -> Any:
        if isinstance(values, list):
            return values[rng.integers(len(values))]
        low, high = values
        if isinstance(low, int) and isinstance(high, int):
            return int(rng.integers(low, high + 1))
        return float(rng.uniform(low, high))

    return {key: one(values) for key, values in space.items()}


def _from_optuna(
    space: Mapping[str, Any], history: Sequence[Round], direction: str, seed: int
) -> dict[str, Any]:
    """Ask Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), told all rounds."""
    try:
        import optuna  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ValueError(
            "search sampler 'optuna' needs Optuna: pip install optuna, or set it to 'random'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = {key: _distribution(optuna, values) for key, values in space.items()}
    asked = optuna.create_study(
        direction="maximize" if direction == "max" else "minimize",
        # A sampler of the same seed would repeat its first draw in every round.
        sampler=optuna.samplers.TPESampler(seed=seed * 10_007 + len(history)),
    )
    for past in history:
        if math.isfinite(past.value):
            told = {"params": past.overrides, "distributions": kinds, "value": past.value}
            asked.add_trial(optuna.trial.create_trial(**told))
    return asked.ask(kinds).params


def _distribution(optuna: Any, values: Any) -> Any:
    kinds = optuna.distributions
    if isinstance(values, list):
        return kinds.CategoricalDistribution(values)
    low, high = values
    is_whole = isinstance(low, int) and isinstance(high, int)
    return (kinds.IntDistribution if is_whole else kinds.FloatDistribution)(low, high)
