"""From a config to its masking rule and schedule; errors name the key of the config to mend."""

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging

from maskjax import masking
from maskjax.models.patches import grid_shape
from maskjax.models.sizes import Kept, Size
from maskjax.spelling import did_you_mean, missing_import

NONE = "none"  # in place of a rule: nothing is hidden, a plain autoencoder
# Rules that follow a state, and what they take of it.
FOLLOWING = {"weighted": "log_weights", "hard_patches": "losses", "error_window": "losses"}
FOLLOWS = ("losses", "labels", "frequencies", "accuracies", "kinds")
_WORDS = "word_ids"  # which batches of texts have
MANY_PATCHES = 2048  # more than images have in published models, or 16 frames of video


def follows_something(options: Any) -> bool:
    """Whether the rule of `config.mask` follows a state; whole words follow their kinds alone."""
    return options.rule in FOLLOWING or (options.rule, options.follows) == ("whole_word", "kinds")


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Raises a ValueError that lists the known values where `value` is none of them."""
    if value not in known:
        hint = did_you_mean(value, known)
        raise ValueError(f"unknown {name} {value!r}{hint}: use one of {tuple(known)}")


def dotted(name: str, path: str) -> Callable[..., Any]:
    """Imports a function of anybody's module.

    Args:
        name: The key, for errors.
        path: "module.function"; the module may have dots too.

    Returns:
        The function.

    Raises:
        ValueError: no such module, or nothing in it that can be called.
    """
    module, _, function = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), function, None) if module else None
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise ValueError(missing_import(f"{name} {path!r}", module, error)) from error
        found = None
    if not callable(found):
        raise ValueError(
            f"{name} {path!r} is no function of a module that can be imported: give "
            "module.function, in the working directory, beside the config or on PYTHONPATH"
        )
    return found


def patch_grid(shape: Sequence[int], patch_size: Sequence[Any]) -> tuple[int, ...]:
    """Counts patches along each axis, and warns where attention over all of them costs much.

    Args:
        shape: Sizes of one example, channels last.
        patch_size: `config.model.patch_size`.

    Returns:
        One count an axis.

    Raises:
        ValueError: sides that are no whole numbers, or do not fit the example.
    """
    if not all(isinstance(side, int) for side in patch_size):
        raise ValueError(
            f"model.patch_size {tuple(patch_size)} must hold whole numbers, such as 2,2"
        )
    try:
        grid = grid_shape(shape, patch_size)
    except ValueError as error:
        raise ValueError(f"model.patch_size: {error} (data.size)") from error
    if math.prod(grid) > MANY_PATCHES:
        logging.warning(
            "An example of %s has %d patches, and attention's time and memory grow with their "
            "square: set model.patch_size larger or data.size smaller, unless that is meant.",
            "x".join(map(str, shape)), math.prod(grid),
        )  # fmt: skip
    return grid


def kept_blocks(model: Any, name: str, size: Size) -> Kept:
    """Reads what each block has of a network made smaller (tools/shrink.py); () for others.

    Args:
        model: The section of the config, which may have "kept".
        name: Of the section, for errors.
        size: Of the network before.

    Raises:
        ValueError: No heads and width of the MLP for each block.
    """
    kept = tuple(model.get("kept", ()))
    is_pair = lambda it: (  # noqa: E731
        isinstance(it, tuple)
        and len(it) == 2
        and all(isinstance(number, int) and number > 0 for number in it)
        and it[0] <= size.num_heads
    )
    if kept and not (len(kept) == size.depth and all(map(is_pair, kept))):
        raise ValueError(
            f"{name}.kept {kept} must hold for each of {size.depth} blocks its heads, 1 to "
            f"{size.num_heads}, and the width of its MLP; or be () where all are alike"
        )
    return kept


class _Nothing(masking.Schedule):
    """The ratio 0, which is none that a rule can cut by."""

    def __init__(self):
        for name in ("min_ratio", "max_ratio"):
            object.__setattr__(self, name, 0.0)
        object.__setattr__(self, "ratio", lambda step, key: jnp.float32(0))

    def min_num_masked(self, length: int) -> int:
        """No position."""
        return 0

    max_num_masked = min_num_masked


def check_counted(config: Any) -> None:
    """Refuses a loss on hidden positions where none is hidden."""
    if config.mask.rule == NONE and config.loss.on == "masked":
        raise ValueError(
            f"mask.rule {NONE!r} hides nothing that loss.on 'masked' could count: set loss.on to "
            "'all', for a plain autoencoder"
        )


def check_numbers(options: Any) -> None:
    """Refuses numbers of `config.mask` that are out of range."""
    tries, share = options.best_of.candidates, options.hard_patches.max_share
    if tries < 1:
        raise ValueError(f"mask.best_of.candidates {tries} must be at least 1, which is off")
    if not 0 <= share <= 1:
        raise ValueError(f"mask.hard_patches.max_share {share} must be from 0 to 1")
    if options.copies < 0:
        raise ValueError(f"mask.copies {options.copies} must be at least 0, a fresh mask each time")


def ratio_schedule(config: Any) -> masking.Schedule:
    """Makes the mask-ratio schedule of a config.

    Args:
        config: The whole config; the ratio goes from `mask.ratio` to `mask.final_ratio` in
            `total_steps` steps, or is drawn between.

    Returns:
        The schedule.

    Raises:
        ValueError: an unknown schedule, a ratio outside (0, 1), or no two ratios to move between.
    """
    options = config.mask
    if options.rule == NONE:
        return _Nothing()
    check_choice("mask.schedule", options.schedule, tuple(masking.SCHEDULES))
    for key in ("ratio", "final_ratio"):
        if not 0 < options[key] < 1:
            raise ValueError(
                f"mask.{key} {options[key]} must lie strictly between 0 and 1, for example 0.75"
            )
    if options.schedule == "constant":
        return masking.make_schedule("constant", ratio=options.ratio)
    if options.ratio == options.final_ratio:
        raise ValueError(
            f"mask.schedule {options.schedule!r} from mask.ratio {options.ratio} to the same "
            "mask.final_ratio is constant: change one of them"
        )
    if options.schedule == "uniform":
        low, high = sorted((options.ratio, options.final_ratio))
        return masking.make_schedule("uniform", low=low, high=high)
    return masking.make_schedule(
        options.schedule,
        start=options.ratio,
        end=options.final_ratio,
        total_steps=config.total_steps,
    )


def check_some_visible(options: Any, schedule: masking.Schedule, length: int) -> None:
    """Refuses a ratio of `config.mask` that hides none or all of so many patches."""
    if options.rule == NONE:
        return
    for ratio in (schedule.min_ratio, schedule.max_ratio):
        count = masking.num_masked_from_ratio(length, ratio)
        if not 0 < count < length:
            key = "mask.ratio" if ratio == options.ratio else "mask.final_ratio"
            raise ValueError(
                f"{key} {ratio} hides {count} of {length} patches: at least one must be hidden "
                "and one visible; change the ratio or use smaller patches"
            )


def mask_rule(options: Any, grid: tuple[int, ...], num_masked: int, modality: str) -> masking.Rule:
    """Makes the rule of a config and tries it, so that errors name the section to mend.

    Args:
        options: `config.mask`; the section of the rule's name holds its options.
        grid: Positions along each axis.
        num_masked: How many of them are hidden.
        modality: What it is for, one of `masking.MODALITIES`.

    Returns:
        The rule; what it follows is left to be given.

    Raises:
        ValueError: a rule that is unknown or not for this modality, or options that do not fit.
    """
    name = "random" if options.rule == NONE else options.rule
    given_by_batches = {_WORDS} if modality == "text" else set()
    missing = {
        each: set(masking.missing_options(masking.make_rule(each), {}))
        - {FOLLOWING.get(each)}
        - given_by_batches
        for each in masking.rules_on(modality)
    }
    trainable = [each for each in missing if not missing[each]]
    if name not in masking.RULES:
        check_choice("mask.rule", name, [*trainable, NONE])
    if modality not in (modalities := masking.RULES[name].on):
        raise ValueError(
            f"mask.rule {name!r} is for {modalities}, not for {modality}: use one of {trainable}"
        )
    if missing[name]:
        raise ValueError(
            f"mask.rule {name!r} needs {', '.join(missing[name])}, which a config cannot give: "
            f"use one of {trainable}"
        )
    # What this rule does not read, too: a slip is one anyhow.
    check_choice("mask.follows", options.follows, FOLLOWS)
    check_choice("mask.entries", options.entries, ("", "ids", "positions"))
    for key, section in options.items():
        if not isinstance(section, str | float | int) and "follows" in section:
            check_choice(f"mask.{key}.follows", section["follows"], ("step", "key"))
    given = dict(options.get(name, {}))
    in_boxes = {"block": num_masked, "inverse_block": math.prod(grid) - num_masked}
    if name in in_boxes and given.get("min_area", 0) > in_boxes[name]:
        what = "are hidden" if name == "block" else "stay visible"
        raise ValueError(
            f"mask.{name}.min_area {given['min_area']}: only {in_boxes[name]} of "
            f"{math.prod(grid)} positions {what}, and no box fits: lower it"
        )
    if given.pop("follows", "step") == "key":
        given["step"] = None
    given.pop("max_share", None)  # it grows with the steps
    try:
        rule = masking.make_rule(name, **given)
        runtime = {"step": jnp.int32(0)} if masking.needs_step(rule) else {}
        if name in FOLLOWING:
            runtime[FOLLOWING[name]] = jnp.zeros((1, math.prod(grid)))
        if _WORDS in masking.missing_options(rule, runtime):
            runtime[_WORDS] = jnp.zeros((1, math.prod(grid)), jnp.int32)
        keys = jax.random.split(jax.random.key(0), 1)
        jax.eval_shape(lambda: masking.draw(rule, keys, grid, num_masked, **runtime))
    except (TypeError, ValueError) as error:
        raise ValueError(f"mask.rule {name!r} with mask.{name} {given}: {error}") from error
    if options.copies and masking.needs_step(rule):
        way = f"mask.{name}.follows to 'key', or " if "follows" in options.get(name, {}) else ""
        raise ValueError(
            f"mask.copies {options.copies}: masks of mask.rule {name!r} move with the steps and do "
            f"not come again; set {way}mask.copies to 0"
        )
    return rule
