"""Training the runs of a study, one after the other, each as launch/train.py would."""

import gc
import json
import math
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from maskjax import preemption, workdir
from maskjax.paths import atomic_file
from maskjax.terminal import say
from maskjax.tools.study import RUNS, START, Study, StudyRun
from maskjax.tools.study_derived import DERIVED, STORED
from maskjax.training.loop import train
from maskjax.workdir.lines import NO_NUMBERS, OF_RUN, judged_lines

# Numbers of a run by split, and there by name; one that was not finite is None.
Measured = Mapping[str, Mapping[str, Any]]
ERROR = "error.txt"  # in a run's folder: how it failed
RECORD = "study.json"  # in a study's folder: whose it is


def parse_part(text: str) -> tuple[int, int]:
    """Read --part.

    Returns:
        (i, n), 1 <= i <= n.

    Raises:
        ValueError: it is not written so.

    Example:
        >>> parse_part("2/3"), parse_part("")
        ((2, 3), (1, 1))
    """
    first, slash, count = (text or "1/1").partition("/")
    if not (first.isdecimal() and slash and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise ValueError(f"--part={text}: give i/n with i from 1 to n, as 1/2 and 2/2")
    return int(first), int(count)


def run(study: Study, folder: Path, part: tuple[int, int] = (1, 1)) -> dict[str, str]:
    """Train the runs of a study that are not finished; a run that fails lets the others go on.

    Args:
        study: from `load`.
        folder: of the study; several machines may share it, each with a part of its own.
        part: (i, n): of all runs in order every n-th, from the i-th on, i from 1.

    Returns:
        What ended each run that failed, by name. Its traceback is in its folder, and the same
        command tries it again.

    Raises:
        ValueError: the study does not fit its config, the folder is another's, or a run has not a
            metric that is compared.
        Preempted: told to stop; the run under way is saved.
    """
    if STORED in study.metrics and not any(START in it.overrides for it in study.settings):
        raise ValueError(
            f"study {study.name}: {STORED!r} is what runs keep beside the run that they start from,"
            f" and none has one: give {START!r}, or leave the metric out"
        )
    claim(study, folder)
    every = study.runs(folder)
    for run in every:  # what does not fit shows before hours have passed
        for each in (*study.before(run, folder), run):
            workdir.check(each.config, folder / RUNS / each.name)
    mine = every[part[0] - 1 :: part[1]]
    say(f"{study.name}: runs to do here: {len(mine)} of {len(every)}")
    failed: dict[str, str] = {}
    took: list[float] = []
    for place, each in enumerate(mine):
        is_new = workdir.read_summary(folder / RUNS / each.name) is None
        start = time.monotonic()
        try:
            before = study.before(each, folder) if is_new else ()  # a finished run needs none
            for one in (*before, each):  # what is finished is looked up
                _train(one, folder / RUNS / one.name, one.base)
        except preemption.Preempted:
            raise
        except Exception as error:
            failed[each.name] = _one_line(error)
            say(f"{each.name} failed: {failed[each.name]}")
            continue
        numbers = measured(folder / RUNS / each.name) or {}
        check_metrics(study, {each.name: numbers})  # not only when hours have passed
        if is_new:
            took.append(time.monotonic() - start)
        left = _left(took, len(mine) - place - 1)
        say(f"[{place + 1}/{len(mine)}] {each.name}: {_told(study, numbers)}{left}")
    return failed


def claim(study: Study, folder: Path) -> None:
    """Write whose a folder is, or refuse it where it is another study's."""
    path, ours = folder / RECORD, {"study": study.name, "base": Path(study.base).name}
    try:
        theirs = json.loads(path.read_text()) if path.exists() else ours
    except ValueError as error:
        raise ValueError(f"{path} cannot be read ({error}): choose another --workdir") from None
    if theirs != ours:
        raise ValueError(
            f"workdir {folder} belongs to another study, {theirs}, and not to {ours}: choose "
            "another --workdir"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(json.dumps(ours) + "\n")


def _train(each: StudyRun, folder: Path, base: str) -> None:
    """Train one run of a config file in this process, and leave nothing of it in memory."""
    error_file = folder / ERROR
    try:
        train(each.config, folder, base)
    except preemption.Preempted:
        raise
    except Exception:
        folder.mkdir(parents=True, exist_ok=True)
        error_file.write_text(traceback.format_exc())
        raise
    finally:
        forget()
    error_file.unlink(missing_ok=True)


def forget() -> None:
    """Give back the memory that the programs of a run took."""
    jax.clear_caches()
    gc.collect()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _left(took: Sequence[float], count: int) -> str:
    """Say how long the runs that are left will take, by what those of this call took."""
    if not (took and count):
        return ""
    return f"; {tqdm.format_interval(sum(took) / len(took) * count)} left"


def _told(study: Study, run: Measured) -> str:
    found = {metric: number(run, "validation", metric) for metric in study.metrics}
    return "  ".join(f"{name} {x:.4g}" for name, x in found.items() if x is not None)


def refuse_failures(failed: Mapping[str, str]) -> None:
    """Raise a ValueError that names the runs that failed, if any."""
    if failed:
        named = "; ".join(f"{name} ({why})" for name, why in failed.items())
        raise ValueError(
            f"{len(failed)} runs failed, the same command tries them again (tracebacks are in "
            f"{RUNS}/*/{ERROR}): {named}"
        )


def measured(folder: Path) -> Measured | None:
    """Read what came out of a run, by split; None where it is not finished.

    What is said of a run as a whole stands with its validation.
    """
    summary = workdir.read_summary(folder)
    if summary is None:
        return None
    found = {
        split: {name: x for name, x in line.items() if name not in NO_NUMBERS}
        for split, line in judged_lines(folder, summary).items()
    }
    whole = {name: summary[name] for name in OF_RUN if name in summary}
    if "validation" in found:
        found["validation"] = whole | found["validation"]
    return found


def number(run: Measured, split: str, metric: str) -> float | None:
    """Find what a finished run measured on a split: NaN if not finite, None if it did not.

    Args:
        run: from `measured`; {} where it is not finished.
        split: "validation" or "test".
        metric: its name in the lines of metrics.jsonl.
    """
    found = run.get(split, {})
    if metric not in found:
        return None
    return math.nan if found[metric] is None else float(found[metric])


def check_metrics(study: Study, done: Mapping[str, Measured]) -> None:
    """Raise a ValueError where no finished run, by name, has a metric that is compared.

    Where a study has columns, a metric may be that of one alone: then all runs must be there.
    """
    is_early = study.columns and len(done) < len(study.settings) * len(study.seeds)
    for metric in study.metrics if done and not is_early else ():
        if metric not in DERIVED and all(
            number(run, "validation", metric) is None for run in done.values()
        ):
            known = sorted({name for run in done.values() for name in run.get("validation", ())})
            instead = f"compare some of {', '.join(known)}" if known else "nothing was held out"
            raise ValueError(
                f"study {study.name}: no finished run has the metric {metric!r} on the validation "
                f"split: {instead}"
            )
