"""From a config to what its masks follow; errors name the key of the config to mend."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.tasks.followers import Follower, Frequencies, Labels, Losses, Seen
from maskjax.tasks.options import check_choice
from maskjax.tasks.word_followers import Accuracies, Kinds
from maskjax.typing import Array, PyTree

_OF_IDS = ("frequencies", "accuracies", "kinds")


def make_follower(config: Any, length: int, num_ids: int, data: Any) -> Follower:
    """Make what `mask.follows` names, with the options of its section.

    Args:
        config: the whole config; "mask" and "seed" are read.
        length: positions of an example.
        num_ids: size of the vocabulary; 0 where positions have no ids.
        data: `num_train` and `num_classes` are read, where it has them.

    Raises:
        ValueError: an option that does not fit; the message names the key.
    """
    mask = config.mask
    by_id = num_ids > 0 if not mask.entries else mask.entries == "ids"
    if num_ids == 0 and (by_id or mask.follows in _OF_IDS):
        key = "mask.entries 'ids'" if by_id else f"mask.follows {mask.follows!r}"
        raise ValueError(
            f"{key}: this data has no ids, such as items or tokens; "
            f"use mask.{'entries=positions' if by_id else 'follows=losses'}"
        )
    entries = {"num_entries": num_ids if by_id else length, "by_id": by_id}
    try:
        if mask.follows == "losses":
            made: Follower = Losses(**entries, **mask.losses)
        elif mask.follows == "frequencies":
            made = Frequencies(num_ids, True, mask.frequencies.exponent)
        elif mask.follows == "accuracies":
            made = Accuracies(**entries, rate=mask.ratio, **mask.accuracies)
        elif mask.follows == "kinds":
            made = _kinds(mask.kinds, getattr(data.processor, "kind_names", ()))
        else:
            _check_classes(mask.labels.positive, getattr(data, "num_classes", None))
            made = Labels(
                **entries,
                alpha=mask.labels.alpha,
                num_examples=max(getattr(data, "num_train", 1), 1),
                start_from=mask.labels.start,
                seed=config.seed,
            )
        _try_out(made, length)
        return made
    except ValueError as error:
        raise ValueError(f"mask.{mask.follows}: {error}") from error


def _kinds(options: Any, names: Sequence[str]) -> Kinds:
    """Weigh kinds by their names."""
    if not names:
        raise ValueError("no word has a kind: set data.kinds, or data.kind_column of conll:FILE")
    weights = dict.fromkeys(names, float(options.other))
    for pair in options.weights:
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise ValueError(f"weights hold {pair!r}: give pairs of a kind and its weight")
        check_choice("mask.kinds.weights", pair[0], names)
        weights[pair[0]] = float(pair[1])
    every = (float(options.other), *weights.values())
    if min(every) < 0 or not 0 < sum(every) < math.inf:
        raise ValueError(f"weights {every} of other words and kinds: 0 or more, and not all 0")
    return Kinds(len(every), True, every)


def _check_classes(positive: Any, num_classes: int | None) -> None:
    """Refuse classes that no example can have; where there are no labels others say so."""
    most = math.inf if num_classes is None else num_classes
    are_classes = all(isinstance(x, int | np.integer) and 0 <= x < most for x in positive)
    if not (are_classes and len(positive) > 0):
        known = "from 0" if num_classes is None else f"from 0 to {num_classes - 1}"
        raise ValueError(f"positive {tuple(positive)} must hold classes {known}, at least one")


def _try_out(follower: Follower, length: int) -> None:
    """Once around, so that an option out of range shows before a run."""
    ids = jnp.zeros((1, length), jnp.int32)
    flags = jnp.ones((1, length), bool)
    seen = Seen(jnp.ones((1, length)), flags, flags, ids, jnp.ones(1, bool), flags)
    state = jax.eval_shape(follower.start)

    def around(state: PyTree) -> Array:
        state = follower.remember(state, follower.statistics(seen))
        return follower.log_weights(state, ids)

    jax.eval_shape(around, state)
