"""Losses of classes, what each class weighs, and whether each has examples to learn from."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.typing import Array, Float, Int

BALANCED = "balanced"


def cross_entropy(
    logits: Float[Array, "*S C"],
    targets: Float[Array, "*S C"],
    smoothing: float,
    class_weights: tuple[float, ...],
) -> tuple[Float[Array, "*S"], Float[Array, "*S"]]:
    """The weighted cross-entropy, divided by what an example weighs.

    Args:
        logits: of each class.
        targets: shares of the classes, which sum to 1.
        smoothing: share of a target that is spread over all classes (Szegedy et al. 2016, section
            7).
        class_weights: what each class weighs; () = all the same.

    Returns:
        The loss of each example, and its weight.
    """
    surprise = -jax.nn.log_softmax(logits)
    targets = (1 - smoothing) * targets + smoothing / targets.shape[-1]
    if class_weights:
        targets = targets * jnp.array(class_weights).reshape(*(1,) * (targets.ndim - 1), -1)
    weights = targets.sum(-1)
    return (targets * surprise).sum(-1) / weights, weights


def read_smoothing(loss: Any) -> float:
    """Read `loss.smoothing`."""
    if not 0 <= loss.smoothing < 1:
        raise ValueError(f"loss.smoothing {loss.smoothing} must be at least 0 and below 1")
    return loss.smoothing


def read_class_weights(
    given: Any,
    num_classes: int,
    labels: Int[np.ndarray, "N"] | None,
    *,
    is_opened: bool = True,
) -> tuple[float, ...]:
    """Read `loss.class_weights`: a number a class, "balanced" as one word, or () for all alike.

    "balanced" is the number of examples over that of classes and of the class's own examples, as in
    scikit-learn (King and Zeng 2001).

    Args:
        given: what the config says.
        num_classes: C.
        labels: of all training examples; None where nobody can tell at once.
        is_opened: False for a run that is only looked at, and has no examples.

    Raises:
        ValueError: what it cannot be; the message says what to give.
    """
    weights = tuple(given)
    if weights == (BALANCED,):
        if labels is None and not is_opened:
            return ()
        if labels is None:
            raise ValueError(
                f"loss.class_weights {BALANCED!r}: this data does not tell how often each class "
                "occurs, or an example may have several; give a number a class"
            )
        counts = np.bincount(labels, minlength=num_classes)
        return tuple((len(labels) / (num_classes * counts)).tolist())
    if any(not isinstance(x, int | float) or not 0 < x < float("inf") for x in weights):
        raise ValueError(
            f"loss.class_weights {weights} must hold numbers above 0, or the word {BALANCED!r}"
        )
    if weights and len(weights) != num_classes:
        raise ValueError(
            f"loss.class_weights holds {len(weights)} numbers for {num_classes} classes: give one "
            "a class, or () for all the same"
        )
    return weights


def check_examples(
    num_classes: int, labels: Int[np.ndarray, "N"] | None, names: Sequence[str] | None
) -> None:
    """Refuse a class without training examples, by its name where it has one."""
    if labels is None:
        return
    counts = np.bincount(labels, minlength=num_classes)
    if (counts == 0).any():
        empty = int(counts.argmin())
        named = f"class {empty}" + (f" ({names[empty]})" if names else "")
        raise ValueError(
            f"{named} has no training example, {int((counts == 0).sum())} of {num_classes} classes "
            "in all: raise data.limit, number classes from 0 without gaps, or leave the class out"
        )
