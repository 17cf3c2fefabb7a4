"""Saved leaves put into the places of fresh ones: all of them, or an error that names others."""

import math
import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import jax
from flax import serialization

from maskjax.interop.resample import resample_positions
from maskjax.masking.parameters import matching
from maskjax.spelling import listed
from maskjax.tasks.task import Task
from maskjax.typing import PyTree
from maskjax.workdir.leaves import named_leaves, with_leaves


def taken(
    params: PyTree,
    saved: PyTree,
    options: Any,
    place: Path,
    task: Task | type[Task] = Task,
    grid: tuple[int, ...] = (),
) -> tuple[PyTree, dict[str, list[str]]]:
    """Take the parameters of another run, or weights.

    Args:
        params: those of a fresh run, which are replaced.
        saved: the other's, nested dicts.
        options: `config.init_from`; "skip" and "rename" are read.
        place: of the other's, for errors.
        task: the new run's; what it says of leaves that need not be on both sides is honoured.
        grid: of the other's tables of positions; they are resampled for inputs of another size.

    Returns:
        The parameters, and which are not as they were there: "begins anew", "left out",
        "resampled ...".

    Raises:
        ValueError: leaves that do not fit, named, or a rule that finds nothing.
    """
    ours = named_leaves(serialization.to_state_dict(params))
    theirs = renamed(named_leaves(saved), options.rename)
    resampled = _resample(theirs, ours, grid, getattr(task.architecture, "grid", ()))
    skipped = matching("init_from.skip", tuple(options.skip), sorted({*ours, *theirs}))
    anew = {*ours} & (skipped | found_in(task.begins_anew, {*ours} - {*theirs}))
    left = {*theirs} & (skipped | found_in(task.leaves_out, {*theirs} - {*ours}))
    found = filled(
        params,
        {key: leaf for key, leaf in theirs.items() if key not in left},
        f"{place}: params",
        {key: ours[key] for key in anew},
    )
    strays = {"begins anew": sorted(anew), "left out": sorted(left), **resampled}
    return found, {how: keys for how, keys in strays.items() if keys}


def found_in(patterns: Sequence[str], paths: Set[str]) -> set[str]:
    """The paths in which one of some regular expressions is found, if there are any."""
    return {path for path in paths for pattern in patterns if re.search(pattern, path)}


def _resample(
    theirs: dict[str, Any], ours: Mapping[str, Any], old: tuple[int, ...], new: tuple[int, ...]
) -> dict[str, list[str]]:
    """Make tables of positions fit another grid, as those of published weights."""
    if len(old) != len(new) or old == new:
        return {}
    found = [
        name
        for name, leaf in theirs.items()
        if name.endswith("positions/table") and name in ours and leaf.shape[1] == math.prod(old)
    ]
    for name in found:
        table = resample_positions(jax.device_get(theirs[name]), old, new, antialias=False)
        theirs[name] = jax.device_put(table, ours[name].sharding)
    sizes = ("x".join(map(str, size)) for size in (old, new))
    return {"resampled from {} to {}".format(*sizes): found}


def filled(
    wanted: PyTree, saved: PyTree, name: str, begun: Mapping[str, Any] | None = None
) -> PyTree:
    """Give saved leaves the wanted structure; those of `begun`, of parameters, are not asked for.

    Raises:
        ValueError: one side has a leaf that the other lacks, or of another shape or dtype.
    """
    anew = begun or {}
    ours = named_leaves(serialization.to_state_dict(wanted))
    ours = {key: leaf for key, leaf in ours.items() if key not in anew}
    theirs = named_leaves(saved)
    problems = {
        "lacks": [key for key in ours if key not in theirs],
        "has besides": [key for key in theirs if key not in ours],
        "has in another shape": [
            f"{key} {theirs[key].dtype}{list(theirs[key].shape)}, here "
            f"{leaf.dtype}{list(leaf.shape)}"
            for key, leaf in ours.items()
            if key in theirs and (theirs[key].shape, theirs[key].dtype) != (leaf.shape, leaf.dtype)
        ],
    }
    if any(problems.values()):
        parts = (f"{verb} {listed(keys)}" for verb, keys in problems.items() if keys)
        instead = ""
        if begun is not None:
            rules = _rules([key.partition(" ")[0] for keys in problems.values() for key in keys])
            instead = f", or name these leaves in init_from.skip, as by {rules}"
        raise ValueError(
            f"init_from: {name} does not fit this config's model and optimizer: it "
            f"{', '.join(parts)}; set the same model keys as there{instead}"
        )
    return with_leaves(wanted, {**theirs, **anew})


def _rules(paths: list[str]) -> tuple[str, ...]:
    """Regular expressions that find all parts of the parameters that paths are of."""
    return (*dict.fromkeys(f"^{re.escape(path.partition('/')[0])}(/|$)" for path in paths),)


def renamed(leaves: Mapping[str, Any], pairs: Any) -> dict[str, Any]:
    """Replace what the first of each pair finds in the paths by the second."""
    found = dict(leaves)
    for pair in pairs:
        if not (
            isinstance(pair, list | tuple)
            and len(pair) == 2
            and all(isinstance(part, str) for part in pair)
        ):
            raise ValueError(
                f"init_from.rename holds {pair!r}: give pairs, as in (('^vit/', 'encoder/'),)"
            )
        old, new = pair
        matching("init_from.rename", old, list(found))
        try:
            changed = {re.sub(old, new, path): leaf for path, leaf in found.items()}
        except (re.error, IndexError) as error:  # IndexError: a group of no such name
            raise ValueError(
                f"init_from.rename {pair}: {new!r} cannot stand for what {old!r} finds: {error}; "
                r"\1 is what its first (...) finds, and \\ a backslash"
            ) from None
        if len(changed) < len(found):
            raise ValueError(f"init_from.rename {pair} gives two leaves the same path")
        found = changed
    return found
