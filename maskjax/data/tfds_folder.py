"""Where prepared TensorFlow Datasets lie, and their records, read without TensorFlow."""

import os
from typing import Any

from etils import epath

from maskjax.spelling import unknown_name

# What tfds itself writes beside data sets, and beside their versions while it prepares them.
_NO_DATA = ("downloads", "incomplete")
# `tfds build` would do the same, but needs apache-beam even for data sets that do not.
_PREPARE = (
    'python -c "import tensorflow_datasets as tfds;'
    " tfds.builder('{}', file_format='array_record').download_and_prepare()\""
)
# Names of the splits beside train; the first that is there is read.
OTHER_SPLITS = {"validation": ("validation", "val", "eval"), "test": ("test",)}


def open_records(argument: str, name: str) -> tuple[Any, Any]:
    """Open a prepared dataset in TFDS_DATA_DIR (or ~/tensorflow_datasets), in array_record format.

    Args:
        argument: NAME, then /CONFIG where it has several and :VERSION (the newest if left out).
        name: of the source, for messages.

    Returns:
        The builder, and random access to the serialised examples of each split.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is stored otherwise, or has no split "train".
    """
    import tensorflow_datasets as tfds  # slow to import

    folder = _find_folder(argument, name)
    builder: Any = tfds.builder_from_directory(folder)
    try:
        records: Any = builder.as_data_source(
            deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
        )
    except (NotImplementedError, ValueError) as error:
        raise ValueError(
            f"{name} is not stored with random access; remove {folder} and prepare it again with"
            f" `{_PREPARE.format(argument)}`"
        ) from error
    if "train" not in records:
        raise ValueError(f"{name} has no split 'train', only {', '.join(sorted(records))}")
    return builder, records


def files_of(builder: Any, part: str) -> tuple[Any, ...]:
    """Return what a split is called and how large its files are."""
    paths = [epath.Path(path) for path in builder.info.splits[part].filepaths]
    return (builder.info.full_name, *((path.name, path.stat().length) for path in paths))


def _find_folder(argument: str, name: str) -> epath.Path:
    """Return the folder of the prepared dataset, of the newest version if none is given."""
    root = epath.Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
    path, _, version = argument.partition(":")
    dataset = path.partition("/")[0]
    known = _folders_of_data(root)
    if not dataset or dataset not in known:
        detail = unknown_name("dataset", dataset, known) if known else f"{root} is empty or missing"
        raise FileNotFoundError(
            f"{name}: {detail}; set TFDS_DATA_DIR, or prepare it with"
            f" `{_PREPARE.format(argument or 'NAME')}`"
        )
    inside = list((root / path).iterdir()) if (root / path).is_dir() else []
    versions = {entry.name: entry for entry in inside if (entry / "dataset_info.json").exists()}
    configs = _folders_of_data(root / dataset)
    if not configs:
        raise FileNotFoundError(
            f"{name}: nothing was prepared to the end in {root / dataset}; prepare it with"
            f" `{_PREPARE.format(argument)}`"
        )
    if not versions:
        raise FileNotFoundError(
            f"{name}: no prepared version in {root / path}; give a config as"
            f" tfds:{dataset}/CONFIG (there: {', '.join(configs)})"
        )
    if version and version not in versions:
        raise FileNotFoundError(
            f"{name}: no version {version}; prepared: {', '.join(sorted(versions))}"
        )
    return versions[version or max(versions, key=_version_key)]


def _folders_of_data(parent: epath.Path) -> list[str]:
    """Return the sorted names of the folders in one, but for those of tfds's own."""
    entries = parent.iterdir() if parent.is_dir() else ()
    folders = [entry.name for entry in entries if entry.is_dir()]
    return sorted(name for name in folders if name.partition(".")[0] not in ("", *_NO_DATA))


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else -1 for part in version.split("."))
