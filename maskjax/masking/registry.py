"""The registry of masking rules: by name, with what they score and whether they choose."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from maskjax.masking.checks import as_counts, as_flags, as_grid, check_key
from maskjax.spelling import did_you_mean
from maskjax.typing import Array

# (key, grid, num_masked, *, options) -> scores [L], for one example.
Rule = Callable[..., Array]

MODALITIES = ("image", "text", "audio", "sequence", "weights", "frequency")


class RegisteredRule(NamedTuple):
    """A scoring function and what is known of it.

    Attributes:
        score: (key, grid, num_masked, *, options) -> scores [L], for one example.
        on: the modalities that it scores, and so the sheets that show it.
        chooses: whether it chooses positions by itself, or the option without which it does not.
    """

    score: Rule
    on: tuple[str, ...]
    chooses: bool | str


RULES: dict[str, RegisteredRule] = {}


def register(
    name: str, *, on: tuple[str, ...] = ("image",), chooses: bool | str = False
) -> Callable[[Rule], Rule]:
    """Adds the decorated scoring function to RULES.

    Args:
        name: what `make_rule` and configs call it.
        on: what it scores: "image" (a grid of any rank: signals, images, volumes, video), "text"
            (tokens), "audio" (frames, or frames and frequencies), "sequence" (items of a history),
            "weights" (a network's), "frequency" (of a Fourier transform). The sheet of each of
            them shows the rule.
        chooses: the rule has a choice of its own, which `draw_chosen` hides: scores in [1, 2) for
            what it chooses, [0, 1) for the rest, -inf for what stays visible. The name of an option
            where it has one only if that is given.

    Returns:
        A decorator. The rule that it gives refuses a key, grid, count or candidates that are none,
        whatever the function does, and takes lists for a grid and for candidates.

    Raises:
        ValueError: the name is taken or none, or a modality is not known.

    Examples:
        >>> import jax
        >>> from maskjax import masking
        >>> @masking.register("odd_positions")
        ... def odd_positions(key, grid, num_masked):
        ...     return jax.numpy.arange(masking.grid_length(grid)) % 2.0
        >>> masking.make_rule("odd_positions")(jax.random.key(0), (4,), 2).tolist()
        [0.0, 1.0, 0.0, 1.0]
        >>> del masking.RULES["odd_positions"]
    """
    if not isinstance(name, str):
        raise ValueError(f"{name!r} is no name of a rule: write @register('name') before it")

    def add(rule: Rule) -> Rule:
        if name in RULES:
            raise ValueError(f"masking rule {name!r} is registered already; choose another name")
        if isinstance(on, str) or not on or set(on) - set(MODALITIES):
            raise ValueError(f"masking rule {name!r} is on {on!r}; give some of {MODALITIES}")
        RULES[name] = RegisteredRule(_checked(rule), on, chooses)
        return RULES[name].score

    return add


def _checked(rule: Rule) -> Rule:
    """The rule, which then sees a key, a grid and a count that are what they should be."""

    @functools.wraps(rule)
    def score(key: Any, grid: Any, num_masked: Any, **options: Any) -> Array:
        check_key(key, batch="masking.draw takes one for each example")
        grid = as_grid(grid)
        length = math.prod(grid)
        num_masked = as_counts(num_masked, length)
        if np.ndim(num_masked):
            raise ValueError(
                f"num_masked of shape {np.shape(num_masked)}: a rule scores one example; "
                "masking.draw_counts takes a count for each"
            )
        if options.get("is_candidate") is not None:
            options["is_candidate"] = as_flags("is_candidate", options["is_candidate"])
            if (shape := options["is_candidate"].shape) != (length,):
                raise ValueError(
                    f"is_candidate of shape {shape} for {length} positions of grid {grid}: give "
                    "one flag each, in raster order"
                )
        return rule(key, grid, num_masked, **options)

    return score


def check_rule(rule: Any) -> None:
    """Refuses what is no rule, such as the name of one."""
    if isinstance(rule, str):
        make_rule(rule)  # says which names there are
        raise ValueError(f"rule {rule!r} is the name of one: give make_rule({rule!r})")
    if not callable(rule):
        raise ValueError(
            f"rule of type {type(rule).__name__}: give make_rule(name), or a function "
            "(key, grid, num_masked) -> scores"
        )


def name_of(rule: Rule) -> str:
    """What a rule is called in messages."""
    function = getattr(rule, "func", rule)
    return getattr(function, "__name__", type(function).__name__)


def make_rule(name: str, **options: Any) -> Rule:
    """A registered rule with its options bound.

    Args:
        name: a key of RULES.
        **options: keyword arguments of that rule. A runtime argument bound here is fixed: with
            `make_rule("sliding", step=None)` the window follows the key instead of the step.
            `is_candidate` differs from row to row: no rule binds it, `score` and `draw` take it.

    Returns:
        `(key, grid, num_masked, **runtime) -> scores`.

    Raises:
        ValueError: an unknown name or option, with a list of the known ones; `is_candidate`.

    Examples:
        >>> import jax
        >>> from maskjax import masking
        >>> rule = masking.make_rule("block", min_area=4)
        >>> rule(jax.random.key(0), (8, 8), 32).shape
        (64,)
    """
    if "is_candidate" in options:
        raise ValueError(
            f"is_candidate is no option of masking rule {name!r}: pass it to draw, [B, L]"
        )
    return bind("masking rule", {name: rule.score for name, rule in RULES.items()}, name, options)


def rules_on(modality: str) -> list[str]:
    """The names of the rules that are registered for a modality, sorted.

    Args:
        modality: one of MODALITIES.

    Returns:
        The names.

    Raises:
        ValueError: an unknown modality, with a list of the known ones.

    Examples:
        >>> from maskjax import masking
        >>> masking.rules_on("frequency")
        ['frequency_band']
    """
    if modality not in MODALITIES:
        raise ValueError(f"unknown modality {modality!r}; known: {MODALITIES}")
    return sorted(name for name, rule in RULES.items() if modality in rule.on)


def bind(
    kind: str, table: Mapping[str, Callable], name: str, options: Mapping[str, Any]
) -> functools.partial:
    """`table[name]` with its options bound; ValueErrors list what is known (kind: for them)."""
    if not isinstance(name, str):
        kind_of_name = type(name).__name__
        raise ValueError(f"{kind} of type {kind_of_name}: give its name, one of {sorted(table)}")
    if name not in table:
        raise ValueError(
            f"unknown {kind} {name!r}{did_you_mean(name, table)}; known: {sorted(table)}"
        )
    known = options_of(table[name])
    for option in options:
        if option not in known:
            raise ValueError(
                f"{kind} {name!r} has no option {option!r}{did_you_mean(option, known)}; "
                f"its options: {sorted(known)}"
            )
    return functools.partial(table[name], **options)


def options_of(function: Callable) -> dict[str, inspect.Parameter]:
    """What a function takes after key, grid and num_masked: its keyword-only parameters."""
    check_rule(function)
    parameters = inspect.signature(function).parameters
    return {name: p for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def missing_options(function: Callable, given: Mapping[str, Any]) -> list[str]:
    """Options that have no default, are not bound, and are not among the given ones."""
    return [
        name
        for name, parameter in options_of(function).items()
        if parameter.default is inspect.Parameter.empty and name not in given
    ]


def accepted_options(function: Callable) -> list[str]:
    """What a rule takes by name and has not bound: its options and runtime arguments.

    So that a caller with a dictionary of runtime arguments can give each rule those it takes.

    Args:
        function: from `make_rule`, a plain scoring function, or another function of a registry.

    Returns:
        The names, in the order of the signature.

    Examples:
        >>> from maskjax import masking
        >>> masking.accepted_options(masking.make_rule("weighted", temperature=0.5))
        ['log_weights']
    """
    return [name for name in options_of(function) if not _is_bound(function, name)]


def _is_bound(rule: Rule, option: str) -> bool:
    return option in getattr(rule, "keywords", {})


def needs_step(rule: Rule) -> bool:
    """Whether a rule follows the training step, so that `draw` must be given `step`.

    Args:
        rule: from `make_rule`, or a plain scoring function.

    Returns:
        True where the rule takes a step that is not bound yet.

    Examples:
        >>> from maskjax import masking
        >>> rule = masking.make_rule("sliding", step=None)
        >>> masking.needs_step(masking.sliding), masking.needs_step(rule)
        (True, False)
    """
    return "step" in options_of(rule) and not _is_bound(rule, "step")


def chooses(rule: Rule) -> bool:
    """Whether a rule chooses positions by itself, so that `draw_chosen` can hide these alone.

    Args:
        rule: from `make_rule`, or a registered scoring function.

    Returns:
        True where it does, with the options bound; False for a function that is not registered,
        of which nothing is known.

    Examples:
        >>> from maskjax import masking
        >>> masking.chooses(masking.block), masking.chooses(masking.random)
        (True, False)
    """
    check_rule(rule)
    declared = declared_choice(rule)
    return declared is not None and makes_choice(declared, rule, {})


def declared_choice(rule: Rule) -> bool | str | None:
    """What a rule was registered with as `chooses`; None for a function that is not registered."""
    function = getattr(rule, "func", rule)
    return next((known.chooses for known in RULES.values() if known.score is function), None)


def makes_choice(declared: bool | str, rule: Rule, given: Mapping[str, Any]) -> bool:
    """Whether a rule chooses, with the options that are bound and those that are given."""
    if isinstance(declared, bool):
        return declared
    return {**getattr(rule, "keywords", {}), **given}.get(declared) is not None
