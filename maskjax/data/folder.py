"""Image files in a folder: `folder:DIR`, with or without classes and splits."""

import collections
import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import logging

from maskjax.data.images import EncodedImage, Header, UndecodableError, read_header
from maskjax.data.settings import Settings
from maskjax.data.sources import Record, Source, Splits, digest, register
from maskjax.typing import Int

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
EVAL_FOLDERS = ("val", "validation", "valid", "test", "testing", "eval")

# Where sizes and channels are configured, headers only serve to find bad files early: enough of
# them are opened to notice a broken copy, not all of a million.
_MAX_CHECKED = 20_000

# Bad files that are named one by one.
_MAX_NAMED = 10


class FolderSource(Source):
    """Image files, decoded when they are read.

    Args:
        paths: the files.
        labels: class of each file, or None.
        class_names: names of the classes; None without labels.
        shape: (H, W, C), None where the files differ or were not looked at.
        root: the folder that they lie in.
        skipped: what is wrong with each file that was left out.
    """

    def __init__(
        self,
        paths: list[str],
        labels: Int[np.ndarray, "N"] | None,
        class_names: tuple[str, ...] | None,
        shape: tuple[int | None, ...],
        root: str,
        skipped: frozenset[str] = frozenset(),
    ):
        self._paths = paths
        self._labels = labels
        self.class_names = class_names
        self.num_classes = None if class_names is None else len(class_names)
        self.shape = shape
        self._root = root
        self.skipped = skipped

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Record:
        path = self._paths[index]
        label = None if self._labels is None else int(self._labels[index])
        return Record(EncodedImage(path, path), label)

    def labels(self) -> Int[np.ndarray, "N"] | None:
        return self._labels

    def fingerprint(self) -> str:
        """Hash the files' names below the folder, and the sizes of a fixed sample of them."""
        names = [path[len(self._root) :] for path in self._paths]
        sizes = _in_threads(_size_of, [self._paths[index] for index in _sample(len(self))])
        return digest(super().fingerprint(), names, sizes)


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # it is gone: other data
        return -1


def _sample(count: int) -> list[int]:
    """Return the indices of all files, or of as many as are looked at one by one."""
    return np.linspace(0, count - 1, min(count, _MAX_CHECKED)).astype(int).tolist()


def _in_threads(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Apply a function in threads, which hide the latency of a network file system."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(function, items))


@register("folder")
def folder(argument: str, settings: Settings) -> Splits:
    """Open image files (JPEG, PNG, WebP) under DIR, in one of these layouts.

    DIR/train/CLASS/x.jpg with DIR/val, validation, valid, test, testing or eval (the first that is
    there), in capitals or not; DIR/CLASS/x.jpg; or images directly in DIR (or in DIR/train,
    DIR/val), which then have no classes. Files may lie deeper below CLASS. Names that begin with a
    dot are passed over.
    """
    root = pathlib.Path(argument).expanduser()
    name = f"data source 'folder:{argument}'"
    if not argument or not root.is_dir():
        raise FileNotFoundError(f"{name}: no such folder; give the path of a folder of images")
    parts = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    if "train" not in parts:
        source = _open(root, name, None, settings)
        classes = source.class_names or ()
        if classes and {each.lower() for each in classes} <= {*EVAL_FOLDERS, "training"}:
            raise ValueError(
                f"{name}: {root} holds {', '.join(classes)} but no train; name the"
                " folder of training images train"
            )
        return Splits(source, None, source.skipped)
    train = _open(parts["train"], name, None, settings)
    for part in EVAL_FOLDERS:
        if part in parts:
            evaluation = _open(parts[part], name, train.class_names, settings)
            return Splits(train, evaluation, train.skipped | evaluation.skipped)
    return Splits(train, None, train.skipped)


def _open(
    root: pathlib.Path, name: str, class_names: tuple[str, ...] | None, settings: Settings
) -> FolderSource:
    """Open one split; `class_names` are those of the training split, if it is known."""
    flat, classes = _list_files(root)
    if flat and classes:
        raise ValueError(
            f"{name}: {root} holds both images ({os.path.basename(flat[0])} ...) and folders of"
            f" images ({next(iter(classes))} ...); move the images into class folders"
        )
    if not flat and not classes:
        raise FileNotFoundError(
            f"{name}: no images in {root}; files must end in {', '.join(SUFFIXES)}"
        )
    known = tuple(sorted(classes)) if class_names is None else class_names
    strange = sorted(set(classes) - set(known))
    if strange:
        raise ValueError(
            f"{name}: {root} has class folders that training lacks ({', '.join(strange[:5])});"
            " give both splits the same class folders"
        )
    paths, labels = flat, None
    if classes:
        counts = [len(classes.get(key, ())) for key in known]
        paths = [path for key in known for path in classes.get(key, ())]
        labels = np.repeat(np.arange(len(known), dtype=np.int32), counts)
    is_good, shape, skipped = _check_headers(paths, name, settings)
    if skipped:
        paths = [path for path, good in zip(paths, is_good) if good]
        labels = None if labels is None else labels[is_good]
    return FolderSource(paths, labels, known if classes else None, shape, str(root), skipped)


def _list_files(root: pathlib.Path) -> tuple[list[str], dict[str, list[str]]]:
    """Return the images directly in a folder, and those below each of its sub-folders, sorted."""
    flat, classes = [], collections.defaultdict(list)
    above: dict[str, frozenset[str]] = {}  # the folders that lead to one, links resolved
    for parent, folders, files in os.walk(root, followlinks=True):
        where, leading = os.path.realpath(parent), above.pop(parent, frozenset())
        if where in leading:  # a link has led back
            folders.clear()
            continue
        folders[:] = sorted(entry for entry in folders if not entry.startswith("."))
        above |= {os.path.join(parent, entry): leading | {where} for entry in folders}
        below = pathlib.PurePath(parent).relative_to(root).parts
        for file in sorted(files):
            if file.lower().endswith(SUFFIXES) and not file.startswith("."):
                (classes[below[0]] if below else flat).append(os.path.join(parent, file))
    return flat, dict(classes)


def _check_headers(
    paths: list[str], name: str, settings: Settings
) -> tuple[np.ndarray, tuple[int | None, ...], frozenset[str]]:
    """Open files' headers: which are good, the shape (None where they differ), what is wrong."""
    is_good = np.ones(len(paths), bool)
    needs_all = not (settings.size and settings.channels)
    checked = np.arange(len(paths)) if needs_all else np.array(_sample(len(paths)))

    def check(index: int) -> Header | UndecodableError:
        try:
            return read_header(EncodedImage(paths[index], paths[index]))
        except UndecodableError as error:
            return error

    results = _in_threads(check, checked.tolist())
    errors = [result for result in results if isinstance(result, UndecodableError)]
    if errors:
        message = f"{name}: {len(errors)} of {len(checked)} files are bad; first: {errors[0]}"
        if settings.bad_files == "error":
            raise ValueError(f"{message}; remove such files or set data.bad_files='skip'")
        if len(errors) == len(checked):
            raise ValueError(f"{message}; no file is left")
        for error in errors[:_MAX_NAMED]:
            logging.warning("skipped: %s", error)
        if len(errors) > _MAX_NAMED:
            logging.warning("skipped: %d more bad files of %s", len(errors) - _MAX_NAMED, name)
        is_good[checked[[isinstance(result, UndecodableError) for result in results]]] = False
    headers = [result for result in results if isinstance(result, Header)]
    sides = [{header[axis] for header in headers} for axis in range(3)]
    shape = [side.pop() if len(side) == 1 and needs_all else None for side in sides]
    return is_good, tuple(shape), frozenset(map(str, errors))
