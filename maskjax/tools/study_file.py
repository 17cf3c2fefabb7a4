"""What a study file says, checked before anything is made of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from maskjax.spelling import unknown_name

DIRECTIONS = ("max", "min")
SAMPLERS = ("random", "optuna")
_KEYS = (
    "base",
    "overrides",
    "axes",
    "settings",
    "seeds",
    "metrics",
    "beside",
    "baseline",
    "search",
    "starts",
    "places",
    "columns",
    "curves",
    "compute",
    "claims",
)
_SEARCH_KEYS = ("rounds", "propose", "space", "sampler", "seed")


def plain(said: Any) -> Any:
    """Turn NumPy's numbers and arrays, wherever they stand, into Python's own and into tuples.

    Example:
        >>> plain({"seeds": np.arange(2), "axes": {"mask.ratio": [np.float64(0.5)]}})
        {'seeds': (0, 1), 'axes': {'mask.ratio': [0.5]}}
    """
    if isinstance(said, np.generic):
        return said.item()
    if isinstance(said, np.ndarray):
        return plain(said.item() if said.ndim == 0 else tuple(said))
    if isinstance(said, dict):
        return {plain(key): plain(value) for key, value in said.items()}
    return type(said)(map(plain, said)) if type(said) in (list, tuple) else said


def check(file: str, said: Any) -> None:
    """Refuse what is no study.

    Args:
        file: its name, for errors.
        said: what its get_study returned.

    Raises:
        ValueError: names the value and what to give.
    """
    if not isinstance(said, Mapping):
        raise ValueError(f"{file}: get_study must return a dict, not {type(said).__name__}")
    for key in said:
        if key not in _KEYS:
            raise ValueError(f"{file}: {unknown_name('key of a study', str(key), _KEYS)}")
    is_computed = "compute" in said
    for key in ("compute" if is_computed else "base", "seeds", "metrics"):
        if not said.get(key):
            raise ValueError(f"{file}: a study needs {key!r}; configs/studies/README.md says how")
    if is_computed:
        _check_computed(file, said)
    else:
        base = said["base"]
        _must(isinstance(base, str), file, "base", base, "the path of a config file")
    seeds = said["seeds"]
    are_whole = _is_list(seeds) and all(type(seed) is int for seed in seeds)
    _must(are_whole, file, "seeds", seeds, "a tuple of whole numbers, as (0, 1, 2)")
    check_overrides(file, "overrides", said.get("overrides", {}))
    _check_axes(file, said.get("axes", {}))
    _check_named(file, "settings", said.get("settings", {}))
    _check_starts(file, said.get("starts", {}))
    _check_places(file, said)
    _check_metrics(file, said["metrics"], said.get("beside", {}))
    _check_claims(file, said.get("claims", {}), said["metrics"])
    baseline = said.get("baseline", "")
    wanted = "the name of a setting, or a dict of a place on some axes"
    _must(isinstance(baseline, str | Mapping), file, "baseline", baseline, wanted)
    search = said.get("search", {})
    wanted = "a dict, as {'rounds': 10, 'propose': propose}"
    _must(isinstance(search, Mapping), file, "search", search, wanted)
    if search:
        _check_search(file, search)


def _check_computed(file: str, said: Mapping[str, Any]) -> None:
    compute, wanted = said["compute"], "a function of seeds and a setting's overrides, or its path"
    _must(callable(compute) or isinstance(compute, str), file, "compute", compute, wanted)
    for key in ("base", "overrides", "starts", "search"):
        if key in said:
            raise ValueError(f"{file}: what is computed trains no runs: leave {key!r} out")


def check_overrides(file: str, name: str, value: Any) -> None:
    """Refuse, in a ValueError, what is no dict of dotted keys, or sets the seed."""
    is_dict = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    _must(is_dict, file, name, value, "a dict of config keys, as {'mask.ratio': 0.5}")
    if "seed" in value:
        _refuse_seed(file, f"{name} {dict(value)!r}")


def _refuse_seed(file: str, where: str) -> None:
    raise ValueError(f"{file}: {where} has the key 'seed': give seeds in 'seeds' alone")


def _must(is_right: bool, file: str, name: str, value: Any, wanted: str) -> None:
    if not is_right:
        raise ValueError(f"{file}: {name} is {value!r}: give {wanted}")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | range)


def _check_axes(file: str, axes: Any) -> None:
    wanted = "a dict, as {'mask.ratio': (0.25, 0.5)}"
    is_dict = isinstance(axes, Mapping) and all(isinstance(axis, str) for axis in axes)
    _must(is_dict, file, "axes", axes, wanted)
    for axis, values in axes.items():
        name = f"axes[{axis!r}]"
        if isinstance(values, Mapping):
            _check_named(file, name, values)
        elif axis == "seed":
            _refuse_seed(file, "axes")
        wanted = "a tuple of values, as (0.25, 0.5), or a dict of labelled overrides"
        is_right = isinstance(values, Mapping) or _is_list(values)
        _must(is_right and len(values) > 0, file, name, values, wanted)


def _check_named(file: str, name: str, settings: Any) -> None:
    wanted = "a dict of names and overrides, as {'small': {'mask.ratio': 0.5}}"
    is_dict = isinstance(settings, Mapping) and all(isinstance(key, str) for key in settings)
    _must(is_dict, file, name, settings, wanted)
    for key, overrides in settings.items():
        check_overrides(file, f"{name}[{key!r}]", overrides)


def _check_starts(file: str, starts: Any) -> None:
    wanted = "a dict of names, as {'pretrained': {'base': '../mae.py', 'overrides': {}}}"
    _must(isinstance(starts, Mapping), file, "starts", starts, wanted)
    for name, start in starts.items():
        is_right = isinstance(start, Mapping) and isinstance(start.get("base"), str)
        is_right = is_right and set(start) <= {"base", "overrides"}
        _must(is_right, file, f"starts[{name!r}]", start, "a dict with 'base' and 'overrides'")
        check_overrides(file, f"starts[{name!r}] overrides", start.get("overrides", {}))


def _check_places(file: str, said: Mapping[str, Any]) -> None:
    places, settings = said.get("places", {}), said.get("settings", {})
    wanted = "a dict of settings and their places, as {'small': {'rule': 'block', 'size': 1}}"
    is_dict = isinstance(places, Mapping) and all(isinstance(x, Mapping) for x in places.values())
    _must(is_dict, file, "places", places, wanted)
    for name in places:
        if name not in settings:
            raise ValueError(f"{file}: {unknown_name('setting in places', str(name), settings)}")
    axes = {*said.get("axes", {}), *(axis for place in places.values() for axis in place)}
    if (columns := said.get("columns", "")) and columns not in axes:
        raise ValueError(f"{file}: {unknown_name('axis in columns', str(columns), axes)}")
    _check_curves(file, said.get("curves", ""), said.get("axes", {}))


def _check_curves(file: str, curves: Any, axes: Mapping[str, Any]) -> None:
    _must(isinstance(curves, str), file, "curves", curves, "an axis of numbers, or 'step'")
    if curves and curves not in ("step", *axes):
        known = ("step", *axes)
        raise ValueError(f"{file}: {unknown_name('axis in curves', str(curves), known)}")
    for value in axes.get(curves, ()):
        wanted = f"an axis of numbers, or 'step': {value!r} is no number"
        _must(type(value) in (int, float), file, "curves", curves, wanted)


def _check_metrics(file: str, metrics: Any, beside: Any) -> None:
    wanted = "a dict of names with 'max' or 'min', as {'loss': 'min'}"
    _must(isinstance(metrics, Mapping), file, "metrics", metrics, wanted)
    for metric, direction in metrics.items():
        if direction not in DIRECTIONS:
            raise ValueError(f"{file}: metric {metric!r} is {direction!r}: give 'max' or 'min'")
    wanted = "a dict of metrics and tuples of names, as {'loss': ('best_loss',)}"
    _must(isinstance(beside, Mapping), file, "beside", beside, wanted)
    for metric, others in beside.items():
        if metric not in metrics:
            raise ValueError(f"{file}: {unknown_name('metric in beside', metric, metrics)}")
        _must(_is_list(others), file, f"beside[{metric!r}]", others, "a tuple, as ('best_loss',)")


def _check_claims(file: str, claims: Any, metrics: Mapping[str, Any]) -> None:
    is_dict = isinstance(claims, Mapping) and all(type(x) in (int, float) for x in claims.values())
    _must(is_dict, file, "claims", claims, "a dict of metrics and numbers, as {'loss': 0.5}")
    for metric in claims:
        if metric not in metrics:
            raise ValueError(f"{file}: {unknown_name('metric in claims', str(metric), metrics)}")


def _check_search(file: str, search: Mapping[str, Any]) -> None:
    for key in search:
        if key not in _SEARCH_KEYS:
            raise ValueError(f"{file}: {unknown_name('key of a search', str(key), _SEARCH_KEYS)}")
    rounds = search.get("rounds")
    if type(rounds) is not int or rounds < 1:
        raise ValueError(
            f"{file}: search has rounds={rounds!r}: it needs 'rounds', a whole number of at least 1"
        )
    if ("propose" in search) == ("space" in search):
        raise ValueError(f"{file}: search needs 'propose', a function, or a 'space'")
    if "propose" in search:
        propose = search["propose"]
        wanted = "a function from the rounds so far to overrides"
        _must(callable(propose), file, "search propose", propose, wanted)
        return
    sampler, seed, space = search.get("sampler", "random"), search.get("seed", 0), search["space"]
    if sampler not in SAMPLERS:
        raise ValueError(f"{file}: search sampler {sampler!r} is none of {SAMPLERS}")
    is_seed = type(seed) is int and seed >= 0
    _must(is_seed, file, "search seed", seed, "a whole number of at least 0")
    check_overrides(file, "search space", space)
    for key, values in space.items():
        wanted = "the two ends of a range, as (0.1, 0.9), or a list of choices"
        _must(_can_be_drawn(values), file, f"search space[{key!r}]", values, wanted)


def _can_be_drawn(values: Any) -> bool:
    if isinstance(values, list):
        return len(values) > 0
    are_numbers = isinstance(values, tuple) and all(type(x) in (int, float) for x in values)
    return are_numbers and len(values) == 2 and values[0] <= values[1]
