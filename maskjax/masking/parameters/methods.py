"""Methods of sparse training and masked tuning, each a few keys: `config.param_masks.method`.

What a config sets itself wins over what its method says. A number of steps that is a float here is
a share of the run.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from maskjax.masking.parameters.options import USUAL, Options
from maskjax.spelling import unknown_name


class Method(NamedTuple):
    """A method: where it is from, and the keys that make it.

    Attributes:
        source: the paper and its section, or what is meant.
        keys: values of `Options`, by name.
    """

    source: str
    keys: dict[str, Any]


_RANDOM = {"rule": "random"}
_GRADUAL = {"schedule": "cubic", "end_step": 0.75, "every_steps": 0.02}
_REGROWN = {"density": "erk", "every_steps": 0.02, "end_step": 0.75}
_MOVEMENT = {"rule": "movement", "scope": "global", "begin_step": 0.1, "hides": "aside"}
_CHILD = {"sparsity": 0.7}

METHODS: dict[str, Method] = {
    "random": Method("a fixed choice: what every method must beat", _RANDOM),
    "magnitude": Method("Han et al. 2015: the smallest of each leaf, once", {}),
    "global_magnitude": Method("the smallest of all leaves together, once", {"scope": "global"}),
    "gradual": Method("Zhu & Gupta 2018, 3: magnitude, more and more", _GRADUAL),
    "snip": Method(
        "Lee et al. 2019, 4.1: |w g| of the first batch", {"rule": "saliency", "scope": "global"}
    ),
    "movement": Method("Sanh et al. 2020, 4: what moves to zero", _GRADUAL | _MOVEMENT),
    "set": Method(
        "Mocanu et al. 2018: drop by magnitude, grow at random", _REGROWN | {"grow": "random"}
    ),
    "rigl": Method(
        "Evci et al. 2020, 3: drop by magnitude, grow by gradient",
        _REGROWN | {"grow": "gradient", "drop_schedule": "cosine"},
    ),
    "straight_through": Method(
        "Bengio et al. 2013: hidden from the forward pass alone",
        {"hides": "forward", "every_steps": 1},
    ),
    "sr_ste": Method(
        "Zhou et al. 2021, 3.2: N:M, straight through, hidden weights decay",
        {"granularity": "2:4", "hides": "forward", "every_steps": 1, "hidden_decay": 2e-4},
    ),
    "lottery": Method(
        "Frankle & Carbin 2019, 1: train, prune, rewind, train again",
        {"scope": "global", "begin_step": 0.5, "rewind_step": 0},
    ),
    "dense_sparse_dense": Method(
        "Han et al. 2017: dense, then sparse, then dense again",
        {"begin_step": 1 / 3, "release_step": 2 / 3, "sparsity": 0.3},
    ),
    "sliding_blocks": Method(
        "a block of each leaf that moves at every step; what it leaves is as it was",
        {"rule": "sliding_block", "every_steps": 1, "hides": "aside", "sparsity": 0.1},
    ),
    "child_tuning_f": Method(
        "Xu et al. 2021, 2.2: random gradients of each step",
        _CHILD | _RANDOM | {"hides": "gradients", "every_steps": 1, "rescale": True},
    ),
    "child_tuning_d": Method(
        "Xu et al. 2021, 2.3: the gradients of what matters most, by Fisher information",
        _CHILD | {"rule": "fisher", "scope": "global", "hides": "gradients", "observe_steps": 0.1},
    ),
    "stay_zero": Method("reading (i): hidden weights stay zero, kept ones train", _RANDOM),
    "relearn": Method("reading (ii): zeroed once, then all train", _RANDOM | {"hides": "start"}),
    "relearn_alone": Method(
        "reading (iii): zeroed once, then they alone train", _RANDOM | {"hides": "rest"}
    ),
}
_LEARNED = ("learned", "threshold", "top_k", "hard_concrete")  # maskjax/tasks/learned_masks.py
_STEPS = ("begin_step", "end_step", "every_steps", "release_step", "observe_steps", "rewind_step")


def options_of(given: Mapping[str, Any], total_steps: int) -> Options | None:
    """Make the options of a section "param_masks".

    Args:
        given: its values; None is what the method says, or else the usual (`USUAL`).
        total_steps: of the run.

    Returns:
        The options; None where no method is named.

    Raises:
        ValueError: an unknown method or name, or values that do not go together.

    Examples:
        >>> options = options_of({"method": "rigl", "sparsity": 0.9}, total_steps=1000)
        >>> options.grow, options.density, options.end_step, options.every_steps
        ('gradient', 'erk', 750, 20)
    """
    mine = {name: x for name, x in given.items() if name != "method" and x not in (None, (), "")}
    name = given.get("method", "")
    if not name:
        if mine:
            raise ValueError(
                f"param_masks.{next(iter(mine))} changes nothing: set param_masks.method, as to "
                "'magnitude', or leave it out"
            )
        return None
    if name in _LEARNED:
        raise ValueError(
            f"param_masks.method {name!r}: masks that are learned are a task of their own: use "
            "configs/mask_tune.py:learned"
        )
    if name not in METHODS:
        raise ValueError(f"param_masks.method: {unknown_name('method', name, METHODS)}")
    if mine.get("file"):
        mine.setdefault("rule", "file")
    values = USUAL | METHODS[name].keys | mine
    for key in _STEPS:
        if isinstance(values[key], float):
            least = 1 if values[key] else 0
            values[key] = max(least, round(values[key] * total_steps))
    return Options(**values, given=frozenset(mine), total_steps=total_steps)
