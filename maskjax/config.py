"""What config files share: the trainer's keys with their defaults, variants, other config files."""

import copy
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict, config_dict

from maskjax.keys import BEFORE, KEYS, LATER, MASKS, RENAMED, SMALLER
from maskjax.spelling import did_you_mean


def base(**overrides: Any) -> ConfigDict:
    """Make a config of every trainer key.

    Args:
        **overrides: values in place of the defaults, by dotted name.

    Returns:
        The config, not locked: what a task reads comes on top.

    Raises:
        ValueError: an override that is no key.

    Example:
        >>> config = base(task="mae", **{"optimizer.base_lr": 0.1})
        >>> config.optimizer.base_lr, config.batch_size
        (0.1, 256)
    """
    config = ConfigDict()
    for name, key in KEYS.items():
        is_open = key.kind is not None
        _put(config, name, config_dict.placeholder(key.kind) if is_open else key.default)
    for name in overrides:
        if name not in KEYS:
            raise ValueError(f"unknown key of a config {name!r}{did_you_mean(name, KEYS)}")
    config.update_from_flattened_dict(overrides)
    return config


def masks(**overrides: Any) -> ConfigDict:
    """Make the section "mask", which tasks read that hide positions.

    Args:
        **overrides: values in place of the defaults, by name within the section.

    Returns:
        The section.

    Raises:
        ValueError: an override that is no key.

    Example:
        >>> masks(ratio=0.5, **{"block.min_area": 4}).block.min_area
        4
    """
    section = ConfigDict()
    for name, key in MASKS.items():
        _put(section, name, key.default)
    for name in overrides:
        if name not in MASKS:
            raise ValueError(f"unknown key of masks {name!r}{did_you_mean(name, MASKS)}")
    section.update_from_flattened_dict(overrides)
    return section


def variant_of(
    config: ConfigDict,
    name: str,
    variants: Mapping[str, Callable[[ConfigDict], None]],
    smoke: Callable[[ConfigDict], None],
) -> ConfigDict:
    """Turn a config into one of its variants.

    Args:
        config: changed in place.
        name: one of `variants`; "" is "default". "X_smoke" is X made small, "smoke" the default.
        variants: what each changes.
        smoke: shrinks any of them to a few small steps.

    Returns:
        The config, locked, with keys that say how a network of blocks was made smaller.

    Raises:
        ValueError: an unknown variant; the nearest and all of them are named.
    """
    chosen = name.removesuffix("smoke")
    chosen, is_smoke = chosen.removesuffix("_") or "default", chosen != name
    if chosen not in variants:
        known = [*variants, "smoke", *(f"{known}_smoke" for known in variants)]
        raise ValueError(
            f"unknown variant {name!r}{did_you_mean(name, known)}: use one of {sorted(variants)}, "
            "smoke or X_smoke"
        )
    variants[chosen](config)
    if is_smoke:
        smoke(config)
    flat = flatten(config)
    for key, (value, beside) in SMALLER.items():
        if beside in flat:
            _put(config, key, value)
    return config.lock()


def load(
    path: str | Path,
    variant: str | None = None,
    *,
    beside: str | Path = "",
    function: str = "get_config",
) -> Any:
    """Call `get_config` of a config file, or another function of it.

    Args:
        path: the file; without `variant` a colon and a variant may follow.
        variant: its argument; None and no colon: it is called without.
        beside: a file in whose folder `path` lies, as `__file__`.
        function: what is called.

    Returns:
        What it returns: the config.

    Raises:
        FileNotFoundError: there is no such file. What the file raises is passed on.
    """
    if variant is None:
        path, colon, after = str(path).partition(":")
        variant = after if colon else None
    file = Path(beside).parent / path if beside else Path(path)
    spec = importlib.util.spec_from_file_location(f"config_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"config file {file} must end in .py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function)(*([] if variant is None else [variant]))


def complete(config: Any) -> Any:
    """Add the keys that did not exist yet when a config was written, with what stands for them.

    Lists of names that came as one word with commas, as flags give them, are taken apart.
    """
    flat = flatten(config)
    has_masks = "mask.rule" in flat
    changes = {
        name: value
        for name, value in BEFORE.items()
        if name not in flat
        and (has_masks or not name.startswith("mask."))
        and (name not in LATER or LATER[name][1] in flat)
    }
    for name, key in KEYS.items():
        given = flat.get(name, ())
        if key.are_names and any("," in word for word in given):
            changes[name] = tuple(word.strip() for part in given for word in part.split(","))
    if changes:
        config = copy.deepcopy(config)
        with config.unlocked():
            for name, value in changes.items():
                _put(config, name, value)
    return config


def renewed(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Give keys of an old config, by dotted name, the names that they have now.

    Example:
        >>> renewed({"seed": 0, "data.eval_fraction": 0.2})
        {'seed': 0, 'data.validation_fraction': 0.2}
    """
    return {RENAMED.get(name, name): value for name, value in flat.items()}


def of_run(tree: Mapping[str, Any]) -> Any:
    """Make the config of a run, however old, of what its config.json says."""
    config = ConfigDict()
    for name, value in renewed(flatten(tree)).items():
        _put(config, name, value)
    return complete(config)


def check_ranges(config: Any) -> None:
    """Refuse values out of range.

    Raises:
        ValueError: names the key, its value and its limits; or a key is missing.
    """
    flat = flatten(config)
    for name, key in KEYS.items():
        if key.low is None and not key.choices:
            continue
        if name not in flat:
            raise ValueError(
                f"the config lacks {name}: add it, by default {key.default!r}, or begin with "
                "maskjax.config.base(), which has every key"
            )
        if problem := key.problem(flat[name]):
            raise ValueError(f"{name} is {flat[name]!r}: it must be {problem}")


def flatten(tree: Mapping[str, Any] | ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings, such as a config, into {dotted name: value}.

    Example:
        >>> flatten({"seed": 0, "mask": {"ratio": 0.5, "grid": {}}})
        {'seed': 0, 'mask.ratio': 0.5, 'mask.grid': {}}
    """
    flat: dict[str, Any] = {}
    items: Any = tree.items()
    for key, value in items:
        is_section = isinstance(value, Mapping | ConfigDict) and len(value) > 0
        flat |= flatten(value, f"{prefix}{key}.") if is_section else {prefix + key: value}
    return flat


def _put(config: Any, name: str, value: Any) -> None:
    *sections, last = name.split(".")
    for section in sections:
        if section not in config:
            config[section] = ConfigDict()
        config = config[section]
    config[last] = value
