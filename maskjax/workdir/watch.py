"""Numbers that a run watches, to end once they are good or no longer better, or lower the rate.

What was seen is a part of the state, moved after each evaluation by the numbers of the log, so that
a resumed run ends, and lowers its rate, where an uninterrupted one does.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from maskjax.spelling import did_you_mean
from maskjax.typing import Array, Float, Int
from maskjax.workdir.lines import read_metrics


class Watch(NamedTuple):
    """What was seen of a number.

    Attributes:
        best: its best value so far; infinite, on the bad side, before the first.
        since: evaluations since then.
        factor: of the learning rate.
    """

    best: Float[Array, ""] | Any
    since: Int[Array, ""] | Any
    factor: Float[Array, ""] | Any


def start(config: Any) -> dict[str, Watch]:
    """Make the watches that a config asks for: "stop", "plateau", both or none.

    Raises:
        ValueError: a number is to be watched that is never looked at, none is named, or the value
            to reach is NaN.
    """
    sections = {}
    if config.stop.metric:
        sections["stop"] = config.stop
    elif config.stop.value is not None or config.stop.patience > 0:
        raise ValueError("stop.value and stop.patience need a number to watch: set stop.metric")
    if config.stop.value is not None and math.isnan(config.stop.value):
        raise ValueError("stop.value is nan, which no number reaches: give one, or leave it out")
    if config.optimizer.schedule == "plateau":
        sections["plateau"] = config.optimizer.plateau
    if sections and config.eval_every_steps == 0:
        key = "stop.metric" if "stop" in sections else "optimizer.schedule 'plateau'"
        raise ValueError(f"{key} needs evaluations on the way: set eval_every_steps")
    worst = {"min": math.inf, "max": -math.inf}
    return {
        name: Watch(jnp.float32(worst[section.mode]), jnp.int32(0), jnp.float32(1))
        for name, section in sections.items()
    }


def seen_before(config: Any, folder: Path, step: int) -> Watch:
    """Take from a run's log what was seen of `stop.metric` before a step.

    It is what a checkpoint of that step holds, unless that is of a run that watched something else:
    a resumed run may.
    """
    watches = {"stop": start(config)["stop"]}
    for line in read_metrics(folder):
        if line["split"] == "validation" and line["step"] < step and config.stop.metric in line:
            _, watches["stop"] = _look("stop", "stop.metric", watches, config.stop, line)
    return watches["stop"]


def observe(
    watches: Mapping[str, Watch], config: Any, numbers: Mapping[str, Any]
) -> tuple[dict[str, Watch], str]:
    """Take the numbers of an evaluation into the watches.

    Args:
        watches: from `start` or an earlier call, on the host.
        config: the whole config; "stop" and "optimizer.plateau" are read.
        numbers: by name; None is no number, and never better.

    Returns:
        The new watches, and why the run ends, "" where it goes on.

    Raises:
        ValueError: an evaluation without the number that is watched.
    """
    found, reason = dict(watches), ""
    if "stop" in watches:
        key, section = "stop.metric", config.stop
        value, found["stop"] = _look("stop", key, watches, section, numbers)
        goal, sign = section.value, _sign(section.mode)
        if goal is not None and sign * value <= sign * goal:
            reason = f"{section.metric} is {value:.4g}, and stop.value {goal:.4g}"
        elif 0 < section.patience <= found["stop"].since:
            reason = (
                f"{section.metric} was not better than {float(found['stop'].best):.4g} in "
                f"{section.patience} evaluations (stop.patience)"
            )
    if "plateau" in watches:
        section = config.optimizer.plateau
        _, seen = _look("plateau", "optimizer.plateau.metric", watches, section, numbers)
        if seen.since >= section.patience:
            factor = np.float32(seen.factor * np.float32(section.factor))
            seen = seen._replace(since=np.int32(0), factor=factor)
        found["plateau"] = seen
    return found, reason


def unknown(key: str, metric: str, known: Iterable[str]) -> ValueError:
    """Make the error of a key that names no number of an evaluation."""
    known = sorted(known)
    return ValueError(
        f"{key} {metric!r} is no number of an evaluation{did_you_mean(metric, known)}: use one of "
        f"{known}, with which the same command goes on"
    )


def check(config: Any, names: Callable[[], Collection[str]]) -> None:
    """Refuse, in a ValueError, a number to watch that no evaluation gives.

    Args:
        config: the whole config.
        names: gives those of an evaluation; it is not asked where nothing is watched.
    """
    watched = {"stop.metric": config.stop.metric}
    if config.optimizer.schedule == "plateau":
        watched["optimizer.plateau.metric"] = config.optimizer.plateau.metric
    known = names() if any(watched.values()) else ()
    for key, metric in watched.items():
        if metric and metric not in known:
            raise unknown(key, metric, known)


def _sign(mode: str) -> int:
    return 1 if mode == "min" else -1


def _look(
    name: str, key: str, watches: Mapping[str, Watch], section: Any, numbers: Mapping[str, Any]
) -> tuple[float, Watch]:
    """The value of a watched number, and the watch after it."""
    if section.metric not in numbers:
        raise unknown(key, section.metric, [x for x in numbers if isinstance(numbers[x], float)])
    sign, watch = _sign(section.mode), watches[name]
    given = numbers[section.metric]
    value = sign * math.inf if given is None else float(np.float32(given))
    if sign * value < sign * float(watch.best) - section.min_delta:
        return value, watch._replace(best=np.float32(value), since=np.int32(0))
    return value, watch._replace(since=np.int32(watch.since + 1))
