"""A run drawn again from its folder, and pictures of one's own as its model sees them."""

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging
from ml_collections import ConfigDict

from maskjax import data as data_layer
from maskjax import evaluation, tasks
from maskjax.config import complete
from maskjax.data.image.folder import SUFFIXES, image_files
from maskjax.terminal import say
from maskjax.training import draw
from maskjax.training import workdir as layout
from maskjax.training.run import load_state

PAGE = 16  # rows of one picture, and images that are read and computed at a time
_NAME = "own_images"


class _Image(NamedTuple):
    path: str
    label: str
    is_named: bool  # by the user, rather than found in a folder


def draw_run(workdir: Path, *, source: str = "", out: Path | None = None) -> list[Path]:
    """Draw a finished or running run from its newest checkpoint.

    Args:
        workdir: The run's folder.
        source: Where its data are, as `config.data.source`; "" where they were.
        out: Folder for the pictures; None is the run's `figures/`.

    Returns:
        Paths of the pictures.

    Raises:
        FileNotFoundError: No run, no checkpoint yet, or no data.
        ValueError: The data do not fit the run, or `out` cannot be written.
    """
    config, described = _read_config(workdir)
    out = _writable(out or workdir / layout.FIGURES)
    data = _open_data(config, described, source)
    task = tasks.build(config, data)
    figures = draw.draw(task, load_state(task, config, workdir), data, config, workdir, out)
    return [out / f"{name}.png" for name in figures]


def draw_images(
    workdir: Path,
    images: Sequence[Path],
    *,
    source: str = "",
    out: Path | None = None,
    limit: int = 256,
) -> Iterator[Path]:
    """Draw what a run's newest checkpoint makes of images of one's own.

    The run's data are needed only where its config.json does not describe them.

    Args:
        workdir: The run's folder.
        images: Files, and folders that are searched as training searches them; what cannot be
            decoded there is left out with a warning.
        source: Where the run's data are, as `config.data.source`; "" where they were.
        out: Folder for the pictures; None is the run's `figures/`.
        limit: Draw the first so many images, at least 1.

    Yields:
        Path of each page of at most `PAGE` images, once it is written.

    Raises:
        FileNotFoundError: No run, no checkpoint yet, no data, or no such image.
        ValueError: An image that was named is none, or images do not fit the run, or `out` cannot
            be written.
    """
    if limit < 1:
        raise ValueError(f"the limit of images is {limit}: it must be at least 1")
    config, described = _read_config(workdir)
    found = [image for path in images for image in _find(path)]
    out = _writable(out or workdir / layout.FIGURES)
    if described and not source:
        data = data_layer.restore(config.data, described)
    else:
        data = _open_data(config, described, source)
    task = tasks.build(config, data)
    state = load_state(task, config, workdir)
    if len(found) > limit:
        say(
            f"drawing the first {limit} of {len(found)} images: --limit={len(found)} draws all",
            sys.stderr,
        )
    found = found[:limit]
    yield from _draw_pages(found, task, state, data.processor, config, out)


def _draw_pages(
    found: list[_Image], task: Any, state: Any, processor: Any, config: Any, out: Path
) -> Iterator[Path]:
    """Read, compute and draw a page at a time, with one compiled function."""
    count = -(-len(found) // PAGE)
    written: list[Path] = []
    for page in range(count):
        read = list(_read(found[page * PAGE : (page + 1) * PAGE], processor))
        if not read:
            continue
        examples = [example for _, example in read]
        batch = data_layer.batch_of(processor, examples, min(len(found), PAGE))
        panels = draw.show(task, state, batch, config, first=page * PAGE)
        labels = [image.label for image, _ in read]
        figure = evaluation.draw_panel(panels["reconstructions"], processor, labels=labels)
        number = f"-{page + 1:0{len(str(count))}}" if count > 1 else ""
        written.append(out / f"{_NAME}{number}.png")
        evaluation.save_figure(figure, written[-1])
        yield written[-1]
    if not written:
        raise FileNotFoundError("none of these images can be decoded; give others as --images")
    _remove_others(out, written)


def _read(images: list[_Image], processor: Any) -> Iterator[tuple[_Image, data_layer.Example]]:
    """Read images; what was found and is none is left out, for nobody asked for it by name."""
    for image in images:
        try:
            yield image, processor.read_image(image.path)
        except data_layer.UndecodableError as error:
            if image.is_named:
                raise
            logging.warning("left out: %s", error)


def _find(path: Path) -> list[_Image]:
    """The file itself, or the images in a folder and below."""
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; give the path of an image or folder")
        return [_Image(str(path), path.name, is_named=True)]
    files = image_files(path)
    if not files:
        raise FileNotFoundError(f"{path}: no images; files must end in {', '.join(SUFFIXES)}")
    return [_Image(file, os.path.relpath(file, path), is_named=False) for file in files]


def _remove_others(out: Path, written: Sequence[Path]) -> None:
    """Remove pages that an earlier call wrote, which would be taken for a part of these."""
    for path in out.glob(f"{_NAME}*.png"):
        if re.fullmatch(rf"{_NAME}(-\d+)?\.png", path.name) and path not in written:
            path.unlink(missing_ok=True)


def _writable(out: Path) -> Path:
    """Make a folder and find out whether pictures can be written there, before computing any."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            return out
    except OSError as error:
        raise ValueError(
            f"{out} cannot be written ({error.strerror}): give a folder of your own, --out=..."
        ) from None


def _read_config(workdir: Path) -> tuple[Any, dict[str, Any] | None]:
    """A run's config and, unless the run is an old one, what its data were."""
    path = workdir / layout.CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{workdir} holds no run: give the --workdir of a training run")
    try:
        record = json.loads(path.read_text())
        return complete(ConfigDict(record["config"])), record.get("data")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): is this a training run?") from None


def _open_data(config: Any, described: Mapping[str, Any] | None, source: str) -> Any:
    """Open a run's data where they are now, with the run's mean and standard deviation.

    What stands for 0 and 1 is looked for in what lies there; it is the same for the same data. A
    new place gives the evaluation examples too.
    """
    settings = ConfigDict(config.data.to_dict())
    if source:
        settings.update(source=source, eval_source="")
    if described:
        settings.update(mean=described["mean"], std=described["std"])
    try:
        data = data_layer.build(settings, seed=config.seed, batch_size=1)
    except FileNotFoundError as error:
        hint = "" if source else "; if the data are elsewhere now, say where: --data=..."
        raise FileNotFoundError(f"{error}{hint}") from None
    if described and list(data.shape) != described["shape"]:
        raise ValueError(
            f"{settings.source} has examples of shape {data.shape}, and the run's were of shape "
            f"{tuple(described['shape'])}: give data of the same shape as --data"
        )
    if described and data.describe()["fingerprints"] != described["fingerprints"]:
        logging.warning("%s holds other data than those of the run", settings.source)
    return data
