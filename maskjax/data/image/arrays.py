"""Sources that lie in memory: `digits`, `array:FILE.npz` and `idx:DIR`."""

import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
from absl import logging

from maskjax.data.image import idx
from maskjax.data.image.files import MAX_CHANNELS
from maskjax.data.image.gates import as_gate
from maskjax.data.image.ranges import (
    Number,
    ValueRange,
    check_missing,
    has_own_range,
    measure_range,
    to_unit,
)  # fmt: skip
from maskjax.data.image.settings import ImageSettings
from maskjax.data.labels import check_labels, check_targets
from maskjax.data.processor import Record
from maskjax.data.sources import SPLITS, Source, Splits, digest, refuse_argument, register
from maskjax.paths import local_path
from maskjax.typing import Float, Int, Shaped


class ArraySource(Source):
    """Examples that lie in one array, the classes in another.

    Args:
        inputs: [N, *spatial, C] of any real dtype.
        labels: integers [N] from 0, or None.
        num_classes: None takes the number of names, or the largest label plus one.
        class_names: names of the classes; None where they have none.
        value_range: stored numbers that stand for 0 and 1, each one or one a channel. None takes
            the dtype's for uint8 and uint16, otherwise `ranges.measure_range`.
        missing: number that stands for no data, None where there is none.

    Raises:
        ValueError: where a number is not finite, or not in float32 once it is scaled.
    """

    in_memory = True

    def __init__(
        self,
        inputs: Shaped[np.ndarray, "N *spatial C"],
        labels: Int[np.ndarray, "N"] | None = None,
        *,
        num_classes: int | None = None,
        class_names: tuple[str, ...] | None = None,
        value_range: ValueRange | None = None,
        missing: Number | None = None,
    ):
        self._inputs = inputs
        self._labels = labels
        self._gates: np.ndarray | None = None
        self._targets: np.ndarray | None = None
        self.shape = inputs.shape[1:]
        if labels is not None:
            self.num_classes = num_classes or len(class_names or ()) or int(labels.max()) + 1
            self.class_names = class_names
        self.value_range = value_range
        if not has_own_range(inputs.dtype):
            found = measure_range(inputs, missing)
            self.value_range = value_range or found
            with np.errstate(over="ignore"):
                ends = to_unit(np.stack(np.broadcast_arrays(*found)), self.value_range)
            if not np.isfinite(ends).all():
                raise ValueError(
                    f"the examples run from {np.min(found[0])} to {np.max(found[1])}, where the"
                    f" training examples run from {np.min(self.value_range[0])} to"
                    f" {np.max(self.value_range[1])}; remove or replace such numbers"
                )

    def add_gates(self, gates: Float[np.ndarray, "N *spatial"]) -> None:
        """Give each example the m of a soft gate, one for each place, from 0 to 1 = seen."""
        self._gates, self.has_gate = gates, True

    def add_targets(self, targets: Float[np.ndarray, "N T"]) -> None:
        """Give each example numbers that stand beside it."""
        self._targets = targets

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: int) -> Record:
        label = {} if self._labels is None else {"label": int(self._labels[index])}
        gate = {} if self._gates is None else {"gate": self._gates[index]}
        targets = {} if self._targets is None else {"targets": self._targets[index]}
        return {"image": self._inputs[index], **label, **gate, **targets}

    def labels(self) -> Int[np.ndarray, "N"] | None:
        return self._labels

    def fingerprint(self) -> str:
        beside = [x for x in (self._gates, self._targets) if x is not None]
        return digest(super().fingerprint(), self._inputs, self._labels, *beside)


def with_channels(
    inputs: Shaped[np.ndarray, "N *rest"], num_spatial: int, name: str
) -> Shaped[np.ndarray, "N *spatial C"]:
    """Give examples a channel axis where they lack one.

    Args:
        inputs: [N, *spatial] or [N, *spatial, C].
        num_spatial: number of spatial axes (the length of `data.size`); 0 is unknown: then the last
            axis of three or more holds the channels if it has at most 4 entries.
        name: for messages.

    Returns:
        [N, *spatial, C].

    Raises:
        ValueError: where the rank fits neither, or there are no examples.
    """
    if inputs.ndim < 2 or inputs.size == 0:
        raise ValueError(f"{name} has shape {inputs.shape}; it must be [N, *spatial] or"
                         " [N, *spatial, C] and not empty")  # fmt: skip
    if not num_spatial:
        has_channels = inputs.ndim > 2 and inputs.shape[-1] <= MAX_CHANNELS
        num_spatial = inputs.ndim - 1 - has_channels
    if inputs.ndim == num_spatial + 1:
        return inputs[..., None]
    if inputs.ndim != num_spatial + 2:
        raise ValueError(
            f"{name} has shape {inputs.shape}, which does not fit data.size with {num_spatial}"
            " spatial axes; give data.size one length for each spatial axis"
        )
    return inputs


def _refuse_unclear(inputs: np.ndarray, name: str) -> None:
    """Raise where only `data.size` could tell a grey picture from a signal of many channels."""
    sides = inputs.shape[1:]
    if len(set(sides)) > 1 and sides[-1] > MAX_CHANNELS:
        size = ",".join(map(str, sides))
        first = ""
        if sides[0] <= MAX_CHANNELS or len(set(sides[1:])) == 1 < len(sides[1:]):
            first = " store numpy.moveaxis(x, 1, -1) if the second axis holds the channels,"
        raise ValueError(
            f"{name} has shape {inputs.shape};{first} set data.size={size} if these are all"
            f" spatial axes, or data.size={size.rpartition(',')[0]} if the last holds the channels"
        )


def make_splits(
    parts: Mapping[str, tuple[np.ndarray, np.ndarray | None]],
    name: str,
    num_spatial: int,
    missing: Number | None,
) -> Splits:
    """Check arrays (inputs, labels or None) of each split and wrap them; `name` is for messages."""
    checked, all_names = {}, []
    for part, (inputs, labels) in parts.items():
        if inputs.dtype.kind not in "biuf":
            raise ValueError(
                f"{name}: {part} examples have dtype {inputs.dtype}; give real numbers"
            )
        inputs = with_channels(inputs, num_spatial, f"{name}: {part} inputs")
        class_names = None
        if labels is not None:
            labels, class_names = check_labels(labels, len(inputs), f"{name}: {part} labels")
            all_names.append(class_names)
        checked[part] = inputs, labels, class_names
    num_classes = None
    if None in all_names:
        if set(all_names) != {None}:
            raise ValueError(f"{name}: labels are words in one part and numbers in the other; give"
                             " both the same")  # fmt: skip
        numbers = np.concatenate([x for _, x, _ in checked.values() if x is not None])
        num_classes = int(numbers.max()) + 1
        if least := int(numbers.min()):
            logging.warning(
                "%s: the least label is %d, so that of %d classes the first have no example; if the"
                " classes are numbered from %d, subtract it", name, least, num_classes, least,
            )  # fmt: skip
    check_missing(checked["train"][0], missing, name)
    sources, value_range = {}, None
    for part, (inputs, labels, class_names) in checked.items():
        try:
            source = ArraySource(
                inputs,
                labels,
                num_classes=num_classes,
                class_names=class_names,
                value_range=value_range,
                missing=missing,
            )
        except ValueError as error:
            shown = "training" if part == "train" else part
            raise ValueError(f"{name}: {shown} examples: {error}") from None
        if part == "train":
            value_range = source.value_range
        sources[part] = source
    return Splits(**sources)


@register("digits")
def digits(argument: str, settings: ImageSettings) -> Splits:
    """Load scikit-learn's 1797 handwritten digits: 8x8x1, 17 grey levels, 10 classes."""
    del settings
    refuse_argument("digits", argument)
    from sklearn.datasets import load_digits  # slow to import, and only this source needs it

    pixels, labels = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 8, 8, 1).astype(np.float32)
    return Splits(ArraySource(images, labels.astype(np.int32), value_range=(0.0, 16.0)))


@register("array")
def array(argument: str, settings: ImageSettings) -> Splits:
    """Load an .npz file of x and y, or of x_train, y_train and as many of _validation and _test.

    Each y is optional, and so is `gate` (`gate_train` ...), the m of a soft gate for each place of
    each example (`gates.as_gate`), and `targets` (`targets_train` ...), numbers [N] or [N, T] that
    are to be predicted, or 0 and 1 for classes of which an example may have several.

    x is [N, *spatial] or [N, *spatial, C] (see `with_channels`) of any real dtype, y integers from
    0 or words [N].
    Where the last of unequal axes has more than 4 entries, `data.size` must tell which it is.
    """
    path = local_path(argument, "data source")
    if not argument or not path.is_file():
        raise FileNotFoundError(
            f"data source 'array:{argument}': no such file; give the path of an .npz file"
        )
    if path.suffix.lower() == ".npy":
        raise ValueError(
            f"data source 'array:{argument}' is one array without a name (.npy): write it with "
            "numpy.savez(FILE, x=...)"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, TypeError, zlib.error, zipfile.BadZipFile) as error:
        raise ValueError(
            f"data source 'array:{argument}' is not a readable .npz file ({error}); write it with"
            " numpy.savez, words with .astype(str) and not as objects"
        ) from error
    name = f"data source 'array:{argument}'"
    parts = {"train": ""} if "x" in arrays else {split: f"_{split}" for split in SPLITS}
    found = {
        split: (arrays[f"x{part}"], arrays.get(f"y{part}"))
        for split, part in parts.items()
        if f"x{part}" in arrays
    }
    known = {f"{key}{parts[split]}" for split in found for key in ("x", "y", "gate", "targets")}
    if "train" not in found or not set(arrays) <= known:
        raise ValueError(
            f"{name} has keys {sorted(arrays)}; it must have x (and y, gate, targets), or x_train"
            " (and y_train, x_validation, y_validation, x_test, y_test, gate_train ...)"
        )
    if not settings.size:
        _refuse_unclear(found["train"][0], f"{name}: x{parts['train']}")
    splits = make_splits(found, name, len(settings.size), settings.missing_number)
    for split in found:
        source, key = getattr(splits, split), f"gate{parts[split]}"
        if key in arrays:
            shape = (len(source), *source.shape[:-1])
            source.add_gates(as_gate(arrays[key], shape, f"{name}: {key}"))
        key = f"targets{parts[split]}"
        if key in arrays:
            source.add_targets(check_targets(arrays[key], len(source), f"{name}: {key}"))
    return splits


@register("idx")
def idx_folder(argument: str, settings: ImageSettings) -> Splits:
    """Read a folder of MNIST's idx files, gzipped or not: train-images..., t10k-labels...

    Files of any idx dtype and rank are read; labels and the t10k (or test) split are optional.
    """
    folder = local_path(argument, "data source")
    name = f"data source 'idx:{argument}'"
    if not argument or not folder.is_dir():
        raise FileNotFoundError(
            f"{name}: no such folder; give the one that holds train-images-idx3-ubyte[.gz]"
        )
    if idx.find(folder, ("train",), "images") is None:
        raise FileNotFoundError(
            f"{name}: no train-images-idx3-ubyte[.gz] in the folder; put the files there"
        )
    parts = {}
    for split, prefixes in {"train": ("train",), "test": ("t10k", "test")}.items():
        images = idx.find(folder, prefixes, "images")
        if images is not None:
            labels = idx.find(folder, prefixes, "labels")
            parts[split] = (idx.read(images), None if labels is None else idx.read(labels))
    train = parts["train"][0]
    if not settings.size and train.ndim > 3 and train.shape[1] <= MAX_CHANNELS:
        _refuse_unclear(train, name)
    return make_splits(parts, name, len(settings.size), settings.missing_number)
