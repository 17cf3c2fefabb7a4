"""Labels: what is taken for them, and the classes of two splits by their names."""

import unicodedata

import numpy as np
from absl import logging

from maskjax.data.processor import Record
from maskjax.data.sources import Source, Subset, digest
from maskjax.typing import Float, Int

MAX_CLASSES = 2**20
_MAX_NAMED = 5
_NONE = "leave the labels out where no example has one, or give 'none' a class of its own"


def same_name(name: str) -> str:
    """Return what two spellings of a name have in common: Unicode writes one é in two ways."""
    return unicodedata.normalize("NFC", name)


def check_labels(
    labels: np.ndarray, count: int, name: str
) -> tuple[Int[np.ndarray, "N"], tuple[str, ...] | None]:
    """Check the labels of an array.

    Args:
        labels: integers from 0, whole floats or words, [N] or [N, 1].
        count: N.
        name: for messages.

    Returns:
        int32 [N], and the classes' names, which are the sorted words; None without words.

    Raises:
        ValueError: names what is wrong.
    """
    labels = labels.reshape(-1) if labels.shape[1:] in ((), (1,)) else labels
    if labels.shape != (count,):
        hint = "give one label an example"
        if labels.ndim == 2 and len(labels) == count and _is_one_hot(labels):
            hint = "these are one-hot: give their numpy.argmax(..., 1)"
        raise ValueError(f"{name} has shape {labels.shape} for {count} examples; {hint}")
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "U":
        words, numbers = np.unique([same_name(word) for word in labels], return_inverse=True)
        if not words[0]:
            raise ValueError(f"{name} holds an empty word at index {[*numbers].index(0)}; {_NONE}")
        _refuse_many(len(words) - 1, name)
        return numbers.astype(np.int32), tuple(map(str, words))
    if labels.dtype.kind not in "iubf":
        raise ValueError(f"{name} has dtype {labels.dtype}; give integers from 0, or words")
    with np.errstate(invalid="ignore"):
        is_wrong = ~(labels == np.rint(labels)) | ~(labels >= 0)
    if is_wrong.any():
        first = int(np.argmax(is_wrong))
        raise ValueError(
            f"{name} holds {labels[first]} at index {first}, and {int(is_wrong.sum())} in all that"
            f" are no integers from 0; {_NONE}"
        )
    _refuse_many(labels.max(), name)
    return labels.astype(np.int32), None


def check_targets(targets: np.ndarray, count: int, name: str) -> Float[np.ndarray, "N T"]:
    """Check numbers that are to be predicted.

    Args:
        targets: finite numbers, [N] or [N, T].
        count: N.
        name: for messages.

    Returns:
        float32 [N, T].

    Raises:
        ValueError: names what is wrong.
    """
    if targets.ndim not in (1, 2) or len(targets) != count or not targets.size:
        raise ValueError(
            f"{name} has shape {targets.shape} for {count} examples: give [N] or [N, T]"
        )
    if targets.dtype.kind not in "biuf":
        raise ValueError(f"{name} has dtype {targets.dtype}: give real numbers")
    found = targets.reshape(count, -1).astype(np.float32)
    if not np.isfinite(found).all():
        at = int((~np.isfinite(found)).any(1).argmax())
        raise ValueError(f"{name} holds {targets[at]} at index {at}: leave such examples out")
    return found


def _is_one_hot(labels: np.ndarray) -> bool:
    return labels.dtype.kind in "iubf" and bool(
        ((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all()
    )


def _refuse_many(largest, name: str) -> None:
    if largest >= MAX_CLASSES:
        raise ValueError(f"{name} holds {largest}; number the classes from 0, below {MAX_CLASSES}")


class Relabelled(Subset):
    """All examples of a labelled source, with other classes.

    Args:
        source: labelled.
        numbers: the new number of each class.
        class_names: of all classes, in the new order.
    """

    def __init__(self, source: Source, numbers: Int[np.ndarray, "K"], class_names: tuple[str, ...]):
        super().__init__(source, np.arange(len(source)))
        self._numbers = numbers
        self.class_names, self.num_classes = class_names, len(class_names)

    def __getitem__(self, index: int) -> Record:
        record = super().__getitem__(index)
        return {**record, "label": int(self._numbers[record["label"]])}

    def labels(self) -> Int[np.ndarray, "N"] | None:
        labels = super().labels()
        return None if labels is None else self._numbers[labels]

    def fingerprint(self) -> str:
        return digest(super().fingerprint(), self._numbers, self.class_names)


def match_classes(train: Source, evaluation: Source, name: str) -> Source:
    """Number the classes of evaluation examples as those of the training examples.

    Args:
        train: training examples.
        evaluation: evaluation examples, which may lack classes.
        name: of the evaluation examples' source, for messages.

    Returns:
        The evaluation examples, with the training examples' classes: by name where both have names,
        whatever their order and Unicode form, by number otherwise. Where only one of both has
        classes, a warning says that there are no probes.

    Raises:
        ValueError: where evaluation examples have a class that training examples lack.
    """
    if evaluation.num_classes is None or train.num_classes is None:
        if train.num_classes != evaluation.num_classes:
            bare, other = ("evaluation", "training")[:: 1 if train.num_classes else -1]
            logging.warning(
                "%s: no probes, as the %s examples have no classes and the %s examples have; give"
                " both splits class folders, or labels", name, bare, other,
            )  # fmt: skip
        return evaluation
    if train.class_names is None or evaluation.class_names is None:
        if evaluation.num_classes > train.num_classes:
            raise ValueError(
                f"{name}: the evaluation examples have {evaluation.num_classes} classes, the"
                f" training examples {train.num_classes}; give both the same classes"
            )
        return evaluation
    if train.class_names == evaluation.class_names:
        return evaluation
    known = {same_name(each): number for number, each in enumerate(train.class_names)}
    strange = [each for each in evaluation.class_names if same_name(each) not in known]
    if strange:
        raise ValueError(
            f"{name}: the evaluation examples have classes that training lacks"
            f" ({', '.join(strange[:_MAX_NAMED])}); give both splits the same class folders or"
            " labels"
        )
    numbers = [known[same_name(each)] for each in evaluation.class_names]
    return Relabelled(evaluation, np.array(numbers, np.int32), train.class_names)
