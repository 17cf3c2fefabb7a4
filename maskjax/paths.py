"""Paths that a user gives, and files that are never half written."""

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# What file systems answer to what they do not offer.
_NOT_OFFERED = {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def local_path(text: str | os.PathLike[str], name: str) -> Path:
    """Read a path of this machine as a shell would.

    Args:
        text: the path; `~` is expanded, and `$VARIABLE` unless there is a path of that very name.
        name: of the flag or key that holds it, for messages.

    Raises:
        ValueError: it is the address of a store elsewhere (gs://, s3:// ...), or names a variable
            or a home that does not exist.

    Example:
        >>> local_path("~/runs", "--workdir") == Path.home() / "runs"
        True
    """
    path = os.path.expanduser(os.fspath(text))
    if not os.path.exists(path):
        path = os.path.expanduser(os.path.expandvars(path))
    unknown = re.search(r"\$(\w+|\{\w+\})", path)
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", path)
    shown = path.encode("utf-8", "backslashreplace").decode()
    if scheme and not os.path.exists(path):
        raise ValueError(
            f"{name} {shown!r} is not on this machine: give a folder of a local or mounted file "
            "system"
        )
    if unknown and not os.path.exists(path):
        raise ValueError(f"{name} {shown!r}: {unknown[0]} is not set: set it, or write the path")
    if path.startswith("~"):
        raise ValueError(f"{name} {shown!r}: no such home folder; write the path in full")
    return Path(path)


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO]:
    """Write a file so that a reader, or a kill, sees the old or the new one, never a part.

    Args:
        path: where.
        mode: "w" for text in UTF-8, "wb" for bytes.

    Yields:
        A file in the same folder, for a rename is atomic only within a file system.
    """
    path = Path(path)
    encoding = None if "b" in mode else "utf-8"
    with tempfile.NamedTemporaryFile(
        mode, dir=path.parent, prefix=f".{path.name[:100]}-", delete=False, encoding=encoding
    ) as file:
        try:
            yield file
            file.flush()
            with where_offered():
                os.fsync(file.fileno())
            with where_offered():
                os.chmod(file.name, 0o644)  # a temporary file is closed to other readers
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Fill a folder so that a reader finds the old or the new one, never a part.

    Args:
        path: where; a folder that is there already is replaced.

    Yields:
        An empty folder beside it, which takes its place once all is written.
    """
    path = Path(path).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name[:100]}-") as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir(0o755)
        yield new
        if path.exists():
            os.replace(path, old)
        try:
            os.replace(new, path)
        except BaseException:
            if old.exists():
                os.replace(old, path)
            raise


def can_sync(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder's file system offers a way to make a file last (fsync)."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".sync-") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise
            return False
    return True


@contextlib.contextmanager
def where_offered() -> Iterator[None]:
    """Do without what a file system does not offer: permissions, or a way to make a file last."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise


def moved_along(folder: Path, old: str, new: str) -> bool:
    """Whether what lies beside a folder now lay in a folder of the same name before.

    >>> moved_along(Path("/b/runs/tuned"), "/a/runs/begun", "/b/runs/begun")
    True
    >>> moved_along(Path("/b/runs/tuned"), "/a/runs/begun", "/a/other/begun")
    False
    """
    now = Path(new).absolute()
    is_beside = now.parent == folder.absolute().parent
    return bool(old and new) and is_beside and now.parts[-2:] == Path(old).parts[-2:]
