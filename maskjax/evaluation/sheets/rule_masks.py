"""Masks of every registered rule of a modality, each with the runtime arguments that it takes."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax import masking
from maskjax.evaluation.sheets import samples
from maskjax.typing import Array, Bool, Float, Key


def rule_masks(
    names: Sequence[str],
    keys: Key[Array, "B"],
    grid: tuple[int, ...],
    num_masked: int,
    runtime: Mapping[str, Any],
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    by_choice: bool = False,
) -> dict[str, Bool[np.ndarray, "B *grid"] | str]:
    """Draw masks of each rule, with those of the runtime arguments that it takes.

    Args:
        names: Of registered rules.
        keys: One for each sample.
        grid: Positions along each axis.
        num_masked: How many positions to hide in each sample, or the budget of a rule's choice.
        runtime: By name, one row a sample; all rules are given `is_candidate`.
        options: Of each rule, by its name.
        by_choice: Hide what a rule chooses itself (`masking.draw_chosen`), where it does, rather
            than an exact count.

    Returns:
        By name the masks, or why there are none: what the rule needs beyond the runtime arguments,
        or what it has against the grid.
    """
    hidden = {}
    for name in names:
        try:
            rule = masking.make_rule(name, **(options or {}).get(name, {}))
            draw = functools.partial(_draw, rule, keys, grid, num_masked, by_choice)
            given = arguments_of(rule, runtime, also=("is_candidate",))
            hidden[name] = np.asarray(jax.jit(draw)(given)).reshape(-1, *grid)
        except (TypeError, ValueError) as error:
            hidden[name] = str(error)
    return hidden


def arguments_of(
    function: Callable, runtime: Mapping[str, Any], also: Sequence[str] = ()
) -> dict[str, Any]:
    """Those of the runtime arguments that a rule, or another function of a registry, takes.

    Args:
        function: From `make_rule`, or a constructor of an attention mask.
        runtime: By name.
        also: Names that are given in any case, where there are such.

    Returns:
        The arguments.

    Raises:
        ValueError: It needs one that there is not.
    """
    taken = {*masking.accepted_options(function), *also} & set(runtime)
    given = {name: runtime[name] for name in sorted(taken)}
    missing = masking.missing_options(function, given)
    if missing:
        raise ValueError(f"needs {', '.join(missing)}, which is not there")
    return given


def _draw(
    rule: masking.Rule,
    keys: Key[Array, "B"],
    grid: tuple[int, ...],
    num_masked: int,
    by_choice: bool,
    given: Mapping[str, Array],
) -> Bool[Array, "B L"]:
    if by_choice and masking.chooses(rule):
        return masking.draw_chosen(rule, keys, grid, num_masked, **given)
    return masking.draw(rule, keys, grid, num_masked, **given).is_masked


def repeated(count: int, **arguments: np.ndarray) -> dict[str, Array]:
    """Runtime arguments that are the same for all samples: [*shape] -> [count, *shape]."""
    return {
        name: jnp.broadcast_to(jnp.asarray(value), (count, *np.shape(value)))
        for name, value in arguments.items()
    }


def picture_runtime(
    image: Float[np.ndarray, "H W C"], grid: tuple[int, int], count: int
) -> dict[str, Array]:
    """What a picture itself can stand in for: runtime arguments of rules, by name.

    Bright patches weigh more, patches of much contrast are hard to predict and attended to, and a
    region covers what is bright.

    Args:
        image: Floats in [0, 1].
        grid: Patches along each axis.
        count: Rows.
    """
    looks = samples.patch_looks(image, grid)
    brightness, contrast = looks["brightness"], looks["contrast"]
    return repeated(
        count,
        log_weights=np.log(brightness + 1e-3),
        losses=contrast,
        attention=contrast,
        probabilities=shares(brightness),
        coverage=looks["bright_share"],
    )


def shares(weights: np.ndarray, ratio: float = 0.3) -> np.ndarray:
    """Probabilities in proportion to weights, `ratio` on average."""
    return np.clip(ratio * weights / (weights.mean() + 1e-12), 0, 1).astype(np.float32)


def steps(count: int, num_positions: int) -> Array:
    """A training step for each sample, so far apart that one sees a window move."""
    return jnp.arange(count) * (num_positions // 8)
