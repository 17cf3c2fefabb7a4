"""Image files in a folder: `folder:DIR`, with or without classes and splits."""

import collections
import concurrent.futures
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from absl import logging

from maskjax.data.image.files import EncodedImage, Header, read_header
from maskjax.data.image.settings import ImageSettings
from maskjax.data.labels import same_name
from maskjax.data.processor import Record, UndecodableError
from maskjax.data.progress import shown
from maskjax.data.sources import Source, Splits, digest, register
from maskjax.paths import local_path
from maskjax.typing import Int

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
# Names of the folder of each split beside train; the first that is there is read.
OTHER_FOLDERS = {"validation": ("val", "validation", "valid", "eval"), "test": ("test", "testing")}

# Where sizes and channels are configured, headers only serve to find bad files early: enough of
# them are opened to notice a broken copy, not all of a million.
_MAX_CHECKED = 20_000
# Files that a thread looks at before it is given more: to hand out single ones would take longer.
_PART = 32
_NOT_OURS = ("__MACOSX", "@eaDir")  # folders of macOS and Synology beside those of the user
# Files, classes and suffixes that are named one by one.
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
        label = {} if self._labels is None else {"label": int(self._labels[index])}
        return {"image": EncodedImage(path, path), **label}

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
    except OSError:
        return -1  # it is gone: other data


def _sample(count: int) -> list[int]:
    """Return the indices of all files, or of as many as are looked at one by one."""
    return np.linspace(0, count - 1, min(count, _MAX_CHECKED)).astype(int).tolist()


def _in_threads(
    function: Callable[[str], Any], paths: Sequence[str], what: str = "looking at"
) -> list[Any]:
    """Apply a function to files in threads, which hide the latency of a network file system."""
    parts = [paths[start : start + _PART] for start in range(0, len(paths), _PART)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda part: [function(path) for path in part], parts)
        found = itertools.chain.from_iterable(results)
        return list(shown(found, f"{what} files", "file", len(paths)))


@register("folder")
def folder(argument: str, settings: ImageSettings) -> Splits:
    """Open image files (JPEG, PNG, WebP, TIFF, BMP, GIF) under DIR, in one of these layouts.

    DIR/train/CLASS/x.jpg, for validation with DIR/val, validation, valid or eval (the first that is
    there) and for test with DIR/test or testing, in capitals or not; DIR/CLASS/x.jpg; or images
    directly in DIR (or in DIR/train, DIR/val), which then have no classes. Files may lie deeper
    below CLASS. Names that begin with a dot are passed over; files of other suffixes are left out
    and counted in a warning.
    """
    root = local_path(argument, "data source")
    name = f"data source 'folder:{argument}'"
    if not argument or not root.is_dir():
        raise FileNotFoundError(f"{name}: no such folder; give the path of a folder of images")
    parts = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    if "train" not in parts:
        source = _open(root, name, settings)
        classes = source.class_names or ()
        names = {name for each in OTHER_FOLDERS.values() for name in each}
        if classes and {each.lower() for each in classes} <= {*names, "training"}:
            raise ValueError(
                f"{name}: {root} holds {', '.join(classes)} but no train; name the"
                " folder of training images train"
            )
        return Splits(source, skipped=source.skipped)
    found = {"train": _open(parts["train"], name, settings)}
    for split, names in OTHER_FOLDERS.items():
        path = next((parts[each] for each in names if each in parts), None)
        if path is not None:
            found[split] = _open(path, name, settings, may_lack=True)
    return Splits(**found, skipped=frozenset().union(*(x.skipped for x in found.values())))


def _open(
    root: pathlib.Path, name: str, settings: ImageSettings, may_lack: bool = False
) -> FolderSource:
    """Open one split; `may_lack` says whether its class folders may be empty."""
    flat, classes, left_out = _list_files(root)
    _warn_of(left_out, f"{name}: left out in {root}")
    if not flat and not any(classes.values()):
        raise FileNotFoundError(
            f"{name}: no images in {root}; files must end in {', '.join(SUFFIXES)}"
        )
    if flat:
        mixed = [each for each, files in classes.items() if files]
        if mixed:
            raise ValueError(
                f"{name}: {root} holds both images ({os.path.basename(flat[0])} ...) and folders of"
                f" images ({mixed[0]} ...); move the images into class folders"
            )
        classes = {}
    _refuse_empty(root, name, classes, left_out, may_lack)
    classes = {key: files for key, files in sorted(classes.items()) if files}
    _refuse_twins(root, name, classes)
    paths = flat or [path for files in classes.values() for path in files]
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), [*map(len, classes.values())])
    is_good, shape, skipped, is_wide = _check_headers(paths, name, settings)
    if skipped:
        paths = [path for path, good in zip(paths, is_good) if good]
        labels = labels if flat else labels[is_good]
        left = set(labels.tolist())
        bad = [key for number, key in enumerate(classes) if number not in left]
        if bad and not may_lack:
            raise ValueError(
                f"{name}: every file of {', '.join(bad[:_MAX_NAMED])} in {root} is bad; give the"
                " class good files, or move its folder elsewhere"
            )
    labelled = (None, None) if flat else (labels, tuple(classes))
    source = FolderSource(paths, *labelled, shape, str(root), skipped)
    source.is_wide = is_wide
    return source


def image_files(root: str | os.PathLike[str]) -> list[str]:
    """List the images in a folder and below it as training finds them; say what is left out."""
    flat, classes, left_out = _list_files(pathlib.Path(root))
    _warn_of(left_out, f"left out in {root}")
    return [*flat, *(path for paths in classes.values() for path in paths)]


def _warn_of(left_out: dict[str, collections.Counter[str]], what: str) -> None:
    """Count by suffix what is not read."""
    if counts := sum(left_out.values(), collections.Counter()):
        logging.warning("%s: %s; read are %s", what, _counted(counts), ", ".join(SUFFIXES))


def _counted(suffixes: collections.Counter[str]) -> str:
    """Write counts by suffix: "20 .heic, 3 .txt"."""
    most = suffixes.most_common(_MAX_NAMED)
    parts = [f"{count} {suffix}" for suffix, count in most]
    rest = suffixes.total() - sum(count for _, count in most)
    return ", ".join([*parts, f"{rest} of other suffixes"] if rest else parts)


def _refuse_empty(
    root: pathlib.Path,
    name: str,
    classes: dict[str, list[str]],
    left_out: dict[str, collections.Counter[str]],
    may_lack: bool,
) -> None:
    """Refuse class folders without an image, as the class would be gone without a word."""
    kinds = sorted(classes.items())
    empty = [key for key, files in kinds if not files and (left_out.get(key) or not may_lack)]
    if empty:
        named = [f"{key} ({_counted(left_out.get(key, collections.Counter())) or 'empty'})"
                 for key in empty[:_MAX_NAMED]]  # fmt: skip
        raise ValueError(
            f"{name}: {len(empty)} of {len(classes)} class folders in {root} hold no image that can"
            f" be read: {', '.join(named)}; convert the files to one of {', '.join(SUFFIXES)}, or"
            " move such folders elsewhere"
        )


def _refuse_twins(root: pathlib.Path, name: str, classes: Iterable[str]) -> None:
    """Refuse class folders whose names look the same."""
    seen: dict[str, str] = {}
    for each in classes:
        other = seen.setdefault(same_name(each), each)
        if other != each:
            raise ValueError(
                f"{name}: {root} has two class folders {each}, which differ in Unicode form alone"
                f" ({other!a} and {each!a}); move the files of one into the other"
            )


def _list_files(
    root: pathlib.Path,
) -> tuple[list[str], dict[str, list[str]], dict[str, collections.Counter[str]]]:
    """List a folder.

    Returns:
        The images directly in it, those below each of its sub-folders, sorted, and how many files
        of other suffixes each sub-folder holds ("" for the folder itself).
    """
    flat, classes, left_out = [], {}, collections.defaultdict(collections.Counter)
    above: dict[str, frozenset[str]] = {}  # the folders that lead to one, links resolved
    for parent, folders, files in shown(os.walk(root, followlinks=True), "listing", "folder"):
        where, leading = os.path.realpath(parent), above.pop(parent, frozenset())
        if where in leading:  # a link has led back
            folders.clear()
            continue
        folders[:] = sorted(each for each in folders if not each.startswith((".", *_NOT_OURS)))
        above |= {os.path.join(parent, entry): leading | {where} for entry in folders}
        below = pathlib.PurePath(parent).relative_to(root).parts
        images = classes.setdefault(below[0], []) if below else flat
        for file in sorted(files):
            if file.startswith("."):
                continue
            if file.lower().endswith(SUFFIXES):
                images.append(os.path.join(parent, file))
            else:
                suffix = os.path.splitext(file)[1].lower() or "without a suffix"
                left_out[below[0] if below else ""][suffix] += 1
    return flat, classes, left_out


def _check_headers(
    paths: list[str], name: str, settings: ImageSettings
) -> tuple[np.ndarray, tuple[int | None, ...], frozenset[str], bool]:
    """Open headers: which files are good, the shape (None: it varies), what is wrong, any wide."""
    is_good = np.ones(len(paths), bool)
    needs_all = not (settings.size and settings.channels)
    checked = np.arange(len(paths)) if needs_all else np.array(_sample(len(paths)))

    def check(path: str) -> Header | UndecodableError:
        try:
            return read_header(EncodedImage(path, path))
        except UndecodableError as error:
            return error

    results = _in_threads(check, [paths[index] for index in checked], "opening")
    errors = [result for result in results if isinstance(result, UndecodableError)]
    if errors:
        message = f"{name}: {len(errors)} of {len(checked)} files are bad; first: {errors[0]}"
        if settings.bad_files == "error":
            raise ValueError(f"{message}; remove such files or set data.bad_files='skip'")
        if len(errors) == len(checked):
            raise ValueError(f"{message}; no file is left")
        for error in errors[:_MAX_NAMED]:
            logging.warning("skipped: %s", error)
        if (more := len(errors) - _MAX_NAMED) > 0:
            logging.warning("skipped: %d more bad files of %s", more, name)
        is_good[checked[[isinstance(result, UndecodableError) for result in results]]] = False
    headers = [result for result in results if isinstance(result, Header)]
    longer = [paths[index] for index, header in zip(checked, results)
              if isinstance(header, Header) and header.has_more]  # fmt: skip
    if longer:
        names = [*longer[:_MAX_NAMED], *(["..."] if len(longer) > _MAX_NAMED else [])]
        text = "%s: of %d files that hold several pictures (pages, frames) the first is read: %s"
        logging.warning(text, name, len(longer), ", ".join(names))
    sides = ({header[axis] for header in headers} for axis in range(3))
    shape = tuple(side.pop() if len(side) == 1 and needs_all else None for side in sides)
    return is_good, shape, frozenset(map(str, errors)), any(header.is_wide for header in headers)
