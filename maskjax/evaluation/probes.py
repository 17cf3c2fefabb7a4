"""What needs all rows of a split, chosen by name in `config.eval.probes`.

Probes learn from frozen features and say what these are worth; a new one is a function of training
examples and the options, and a line in `PROBES`. Rankings judge a task's logits as they are; a new
one is a line in `RANKINGS`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from maskjax.evaluation.checks import TooFewLabelsError, checked_training_split
from maskjax.evaluation.knn import knn_accuracy
from maskjax.evaluation.linear_probe import fit_linear_probe
from maskjax.evaluation.thresholds import auroc, average_precision
from maskjax.spelling import did_you_mean
from maskjax.typing import Float, Int, Num

# Raw inputs are not probed where their training split would not fit in memory beside the run.
MAX_RAW_BYTES = 4 * 2**30
# Nor where the eigenvectors that the linear probe needs would take longer than minutes.
MAX_RAW_SIDE = 4096
# Repeats the probes that read features, on raw inputs; alone it says nothing.
RAW = "raw"


class Examples(NamedTuple):
    """What a probe learns from, or is judged on.

    Attributes:
        rows: features, raw inputs or logits [N, D].
        labels: their classes [N]; for rankings also [N, D], above 0 for each class of an example.
    """

    rows: Float[np.ndarray, "N D"]
    labels: Num[np.ndarray, "N *D"]


# Accuracy on some examples.
Judge = Callable[[Examples], float]
# (training examples, `config.eval`) -> judge.
Probe = Callable[[Examples, Any], Judge]


def _knn(train: Examples, options: Any) -> Judge:
    k = min(options["knn_k"], len(train.rows))
    return lambda examples: knn_accuracy(*train, *examples, k=k)


def _linear(train: Examples, options: Any) -> Judge:
    del options
    probe = fit_linear_probe(*train)
    return lambda examples: probe.accuracy(*examples)


def _largest_class(train: Examples, options: Any) -> Judge:
    del options
    return lambda examples: largest_class_accuracy(train.labels, examples.labels)


PROBES: dict[str, Probe] = {"knn": _knn, "linear": _linear, "largest_class": _largest_class}
OF_LABELS = ("largest_class",)  # the same whatever the rows
# (logits, labels) -> a number of this name.
RANKINGS: dict[str, Callable[..., float]] = {
    "auroc": auroc,
    "average_precision": average_precision,
}


def largest_class_accuracy(
    train_labels: Int[np.ndarray, "N"], labels: Int[np.ndarray, "M"]
) -> float:
    """Compute the accuracy of always answering the largest class (the smallest label of equals).

    Args:
        train_labels: of the training examples, at least 0; they tell which class is the largest.
        labels: of the examples to judge.

    Returns:
        The accuracy, in [0, 1].

    >>> largest_class_accuracy(np.array([2, 0, 2]), np.array([0, 0, 0, 2]))
    0.25
    """
    return float((labels == np.bincount(train_labels).argmax()).mean())


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """Read `config.eval.probes`.

    Args:
        names: of `PROBES` and `RANKINGS`, and "raw"; an empty one, as flags give it for none, is
            passed over.

    Raises:
        ValueError: one is unknown, or "raw" has nothing to repeat.

    >>> chosen(["knn", "linear"]), chosen([""])
    (('knn', 'linear'), ())
    """
    words = tuple(name for name in names if name)
    known = (*PROBES, *RANKINGS, RAW)
    for word in words:
        if word not in known:
            raise ValueError(
                f"eval.probes: unknown probe {word!r}{did_you_mean(word, known)}: "
                f"use some of {','.join(known)}"
            )
    if RAW in words and not set(words) - {RAW, *OF_LABELS, *RANKINGS}:
        raise ValueError("eval.probes: 'raw' repeats other probes on raw inputs: use knn,raw")
    return words


def learn(names: Sequence[str], train: Examples, options: Any) -> dict[str, Judge]:
    """Have probes learn.

    Args:
        names: as `chosen` gives them; "raw" and rankings are passed over.
        train: features and labels.
        options: `config.eval`; "knn_k" is read.

    Returns:
        The probes by name; none, and a warning, where the training labels are too few, or too much
        alike, to learn from.

    Raises:
        ValueError: features that are not finite.
    """
    try:
        checked_training_split(*train)
        return {name: PROBES[name](train, options) for name in names if name in PROBES}
    except TooFewLabelsError as error:  # no reason to lose a trained model
        logging.warning("No probes: %s", error)
        return {}


def accuracies(learned: Mapping[str, Judge], examples: Examples) -> dict[str, float]:
    """Judge features by what `learn` returned: "NAME_accuracy" of each in [0, 1].

    Raises:
        ValueError: features that are not finite.
    """
    return {f"{name}_accuracy": judge(examples) for name, judge in learned.items()}


def ranked(names: Sequence[str], examples: Examples) -> dict[str, float]:
    """Judge logits by the rankings among some names."""
    return {name: RANKINGS[name](*examples) for name in names if name in RANKINGS}


def can_probe_raw(width: int, examples: int) -> bool:
    """Whether probes of raw inputs take no more than a share of time and memory; warn if not.

    Args:
        width: numbers in an input.
        examples: training inputs.
    """
    side = min(width, examples)
    if side <= MAX_RAW_SIDE and raw_bytes(width, examples) <= MAX_RAW_BYTES:
        return True
    logging.warning("No probes of raw inputs: they would need too much time or memory.")
    return False


def raw_bytes(width: int, examples: int) -> int:
    """Estimate the peak memory of the probes of raw inputs.

    Args:
        width: numbers in an input.
        examples: training inputs.

    Returns:
        Bytes for the inputs, three copies of float32 and, where there are fewer examples than
        numbers, two of float64, and for the products whose eigenvectors are taken.
    """
    bytes_a_number = 28 if width > examples else 12
    return bytes_a_number * width * examples + 24 * min(width, examples) ** 2
