"""The files of a run: what it was asked, what it ran on, and how it ended."""

import contextlib
import errno
import fcntl
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from absl import logging

from maskjax.config import flatten, renewed
from maskjax.data.build import renewed as renewed_description
from maskjax.keys import BEFORE, FREE, PLACES
from maskjax.paths import atomic_file, moved_along
from maskjax.workdir.lines import METRICS, has_measured

CONFIG, SUMMARY = "config.json", "summary.json"
CHECKPOINTS, FIGURES, LOCK = "checkpoints", "figures", ".lock"

# What a description of data says of the data itself.
_DATA_KEYS = (
    "num_train", "num_validation", "num_test", "shape", "num_classes", "class_names",
    "gate", "fingerprints",
)  # fmt: skip
_START = "init_from.path"  # a place too, of a run that may have been moved along with this one
# What a resumed run may change, though it rounds numbers otherwise.
_ROUNDING = ("data.compact",)
# Names of numbers, which a resumed run may mend.
_WATCHED = ("optimizer.plateau.metric",)


def write_atomically(path: str | Path, content: str) -> None:
    """Write a text file so that a reader, or a kill, sees the old or the new one, never a part."""
    with atomic_file(path) as file:
        file.write(content)


def _plain(config: Any) -> dict[str, Any]:
    """Turn a ConfigDict or mapping into what JSON would give back."""
    tree = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    return json.loads(json.dumps(tree, default=str))


def differing_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Keys of two configs whose values differ and matter to the result.

    Returns:
        Dotted key -> (old value, new value); a key that one lacks has None there.

    Example:
        >>> differing_keys({"mask": {"ratio": 0.5}, "num_devices": 1}, {"mask": {"ratio": 0.75}})
        {'mask.ratio': (0.5, 0.75)}
    """
    before = _plain(BEFORE)
    old, new = before | renewed(flatten(old)), before | flatten(new)
    return {
        key: (old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if key not in FREE and (key not in old or key not in new or old[key] != new[key])
    }


def git_revision() -> str | None:
    """Revision of the checkout that this package runs from, with "-dirty" where files changed.

    Returns:
        None where the package is not a file under git.
    """

    def git(*args: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *args]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _versions() -> dict[str, str]:
    names = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}


def describe_environment() -> dict[str, Any]:
    """Versions and devices that a run depends on."""
    return {
        "versions": _versions(),
        "git_revision": git_revision(),
        "device_kind": jax.devices()[0].device_kind,
        "device_count": jax.device_count(),
        "process_count": jax.process_count(),
        "command": sys.argv,
    }


def start_anew(workdir: Path) -> str:
    """Say how a run with other settings goes on from what a run has learned, if it saved that."""
    if not any(path.name.isdecimal() for path in (workdir / CHECKPOINTS).glob("*")):
        return "other settings or data need another --workdir"
    return (
        "another --workdir goes on from its newest state with other settings or data: add "
        f"--config.init_from.path={shlex.quote(str(workdir))} --config.init_from.what=all (or "
        "params, for a new start with its parameters)"
    )


def check(config: Any, workdir: str | Path, data: Mapping[str, Any] | None = None) -> Path:
    """Make sure that a folder is free, or holds a part of this very run.

    Args:
        config: the whole config.
        workdir: the folder; it need not exist.
        data: what `Data.describe` says, once the data is open.

    Returns:
        Its path.

    Raises:
        ValueError: it holds results of another config or of other data (the message names what
            differs), or is no folder, or its config.json cannot be read or is not of a run.
    """
    workdir = Path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f"workdir {workdir} is a file: choose another --workdir")
    shown = str(workdir).encode("utf-8", "backslashreplace").decode()
    if shown != str(workdir):
        raise ValueError(f"workdir {shown} is not UTF-8, which checkpoints need: choose another")
    path = workdir / CONFIG
    if not has_results(workdir):
        if path.exists() and not _is_ours(path):
            raise ValueError(f"{path} is not maskjax's: choose another --workdir")
        return workdir
    try:
        earlier = json.loads(path.read_text())
        differing = differing_keys(earlier["config"], _plain(config))
        described = earlier.get("data") and renewed_description(earlier["data"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): choose another --workdir") from None
    if described:
        differing = {key: pair for key, pair in differing.items() if key not in PLACES}
    # A name that no evaluation knew ended the run at the first, before anything followed from it.
    for key in [key for key in _WATCHED if key in differing]:
        if not has_measured(workdir, differing[key][0]):
            del differing[key]
    if moved_along(workdir, *differing.get(_START, ("", ""))):
        del differing[_START]
    if differing:
        raise ValueError(
            f"workdir {workdir} belongs to a run of another config: {_pairs(differing)}; "
            f"give the same values to resume it; {start_anew(workdir)}"
        )
    if described and data:
        now = _plain(data)
        pairs = {key: (described.get(key), now.get(key)) for key in _DATA_KEYS}
        other = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
        if len(other) > 1:
            other.pop("fingerprints", None)  # it says the least
        if other:
            raise ValueError(
                f"workdir {workdir} belongs to a run on other data: {_pairs(other)}; bring "
                f"the data back to resume it; {start_anew(workdir)}"
            )
    return workdir


def _pairs(differing: Mapping[str, tuple[Any, Any]]) -> str:
    """Name what differs, with both values; only the part of long lists that one of them lacks."""

    def of(key: str, old: Any, new: Any) -> str:
        if isinstance(old, list) and isinstance(new, list) and len(old) + len(new) > 8:
            old, new = [x for x in old if x not in new][:4], [x for x in new if x not in old][:4]
            return f"{key} ({old} only there, {new} only here)"
        return f"{key} ({old!r} there, {new!r} here)"

    return ", ".join(of(key, *pair) for key, pair in differing.items())


def names_other_places(config: Any, workdir: Path) -> bool:
    """Whether a run's config, checked, looks for the data at another place than before."""
    before, record = _plain(BEFORE), json.loads((workdir / CONFIG).read_text())
    earlier, now = before | renewed(flatten(record["config"])), before | flatten(_plain(config))
    return any(earlier.get(key) != now.get(key) for key in PLACES)


def _is_ours(path: Path) -> bool:
    """Whether a config.json is one that `claim` wrote."""
    with contextlib.suppress(OSError, ValueError):
        record = json.loads(path.read_text())
        return isinstance(record, dict) and "config" in record
    return False


def has_results(workdir: Path) -> bool:
    """Whether a run got so far that there is something to protect."""
    metrics = workdir / METRICS
    has_lines = metrics.exists() and metrics.stat().st_size > 0
    return has_lines or any((workdir / CHECKPOINTS).glob("*")) or (workdir / SUMMARY).exists()


@contextlib.contextmanager
def claim(
    config: Any, workdir: Path, data: Mapping[str, Any], config_file: str = ""
) -> Iterator[None]:
    """Make a run's folder, keep other runs out of it, and write what is run into its config.json.

    Where a run goes on, what it was begun on stays, and what it goes on on is added to "resumed"; a
    warning names what changed since the last start.

    Args:
        config: the whole config.
        workdir: the folder, checked.
        data: what `Data.describe` says.
        config_file: the file that the config is from, with its variant; "" where there is none.

    Raises:
        ValueError: another run is at work in the folder, or left results of another config there
            since it was checked.
    """
    if jax.process_index() != 0:
        yield
        return
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / LOCK).open("w") as lock:  # the system unlocks it however a process ends
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise ValueError(
                    f"workdir {workdir} is in use by another run: wait for its end, or choose "
                    "another --workdir"
                ) from None
            logging.warning("%s cannot be locked (%s): start one run in it only", workdir, error)
        _write_config(config, check(config, workdir, data), data, config_file)
        yield


def _write_config(config: Any, workdir: Path, data: Mapping[str, Any], config_file: str) -> None:
    plain, now = _plain(config), describe_environment()
    settled = {"config": plain, "seeds": {"seed": plain["seed"]}, "data": data}
    if config_file:
        settled["config_file"] = os.path.abspath(config_file)
    record = {**settled, **now, "resumed": []}
    if has_results(workdir):
        first = json.loads((workdir / CONFIG).read_text())
        starts = [first, *first.get("resumed", [])]
        _warn_of_changes(workdir, starts[-1] | _rounding(first["config"]), now | _rounding(plain))
        record = {**first, **settled, "resumed": [*starts[1:], now]}
    write_atomically(workdir / CONFIG, json.dumps(record, indent=2) + "\n")


def _rounding(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a config that round numbers, which only warnings name."""
    flat = BEFORE | flatten(config)
    return {key: flat[key] for key in _ROUNDING if key in flat}


def note(workdir: Path, facts: Mapping[str, Any]) -> None:
    """Add facts to a run's config.json, once, in the first process."""
    if jax.process_index() == 0:
        record = json.loads((workdir / CONFIG).read_text()) | facts
        write_atomically(workdir / CONFIG, json.dumps(record, indent=2) + "\n")


def _warn_of_changes(workdir: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Say in one line what a resumed run depends on that is not as it was at the last start."""
    old, new = flatten(before), flatten(now)
    changed = [name for name in new if name != "command" and old.get(name) != new[name]]
    if changed:
        pairs = ", ".join(f"{name} ({old.get(name)} then, {new[name]} now)" for name in changed)
        logging.warning("%s goes on, but its numbers may change: %s", workdir, pairs)


def read_summary(workdir: str | Path) -> dict[str, Any] | None:
    """Read the summary of a finished run; None where it is not finished."""
    path = Path(workdir) / SUMMARY
    return json.loads(path.read_text()) if path.exists() else None


def write_summary(workdir: str | Path, summary: Mapping[str, Any]) -> None:
    """Mark a run as finished."""
    write_atomically(Path(workdir) / SUMMARY, json.dumps(summary, indent=2) + "\n")
