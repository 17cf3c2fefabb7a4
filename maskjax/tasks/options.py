"""From a config to its masking rule and schedule; errors name the key of the config to mend."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging

from maskjax import masking
from maskjax.models.patches import grid_shape
from maskjax.spelling import did_you_mean

MANY_PATCHES = 2048  # more than images have in published models, or 16 frames of video


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Raises a ValueError that lists the known values where `value` is none of them."""
    if value not in known:
        hint = did_you_mean(value, known)
        raise ValueError(f"unknown {name} {value!r}{hint}: use one of {tuple(known)}")


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


def patch_rule(options: Any, grid: tuple[int, ...], num_masked: int) -> masking.Rule:
    """Makes the rule of a config and tries it, so that errors name the section to mend.

    Args:
        options: `config.mask`; the section of the rule's name holds its options.
        grid: Patches along each axis.
        num_masked: How many of them are hidden.

    Returns:
        The rule.

    Raises:
        ValueError: a rule that is unknown or not for patches, or options that do not fit.
    """
    name = options.rule
    missing = {
        each: masking.missing_options(masking.make_rule(each), {})
        for each in masking.rules_on("image")
    }
    trainable = [each for each in missing if not missing[each]]
    if name not in masking.RULES:
        check_choice("mask.rule", name, trainable)
    if "image" not in (modalities := masking.RULES[name].on):
        raise ValueError(
            f"mask.rule {name!r} is for {modalities}, not for patches: use one of {trainable}"
        )
    if missing[name]:
        raise ValueError(
            f"mask.rule {name!r} needs {', '.join(missing[name])}, which a config cannot give: "
            f"use one of {trainable}"
        )
    for key, section in options.items():  # Of every rule: a slip is one anyhow.
        if not isinstance(section, str | float | int) and "follows" in section:
            check_choice(f"mask.{key}.follows", section["follows"], ("step", "key"))
    given = dict(options.get(name, {}))
    in_boxes = {"block": num_masked, "inverse_block": math.prod(grid) - num_masked}
    if name in in_boxes and given.get("min_area", 0) > in_boxes[name]:
        what = "are hidden" if name == "block" else "stay visible"
        raise ValueError(
            f"mask.{name}.min_area {given['min_area']}: only {in_boxes[name]} of "
            f"{math.prod(grid)} patches {what}, and no box fits: lower it"
        )
    if given.pop("follows", "step") == "key":
        given["step"] = None
    try:
        rule = masking.make_rule(name, **given)
        step = {"step": jnp.int32(0)} if masking.needs_step(rule) else {}
        keys = jax.random.split(jax.random.key(0), 1)
        jax.eval_shape(lambda: masking.draw(rule, keys, grid, num_masked, **step))
    except (TypeError, ValueError) as error:
        raise ValueError(f"mask.rule {name!r} with mask.{name} {given}: {error}") from error
    return rule
