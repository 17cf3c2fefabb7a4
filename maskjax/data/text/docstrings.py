"""Real texts with a class each, on every machine: docstrings, and the module that they are from."""

import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from maskjax.data.sources import digest
from maskjax.data.text.corpora import Corpus
from maskjax.data.text.files import Text
from maskjax.data.text.prose import docstrings_of

# By class: a file or a folder of the standard library.
MODULES = {
    "asyncio": "asyncio",
    "decimal": "_pydecimal.py",
    "email": "email",
    "http": "http",
    "importlib": "importlib",
    "inspect": "inspect.py",
    "ipaddress": "ipaddress.py",
    "logging": "logging",
    "mailbox": "mailbox.py",
    "tarfile": "tarfile.py",
    "unittest": "unittest",
    "xml": "xml",
}
_LONG_ENOUGH = 40  # characters of a text


def docstrings() -> Corpus:
    """Docstrings of twelve modules of the standard library, each with its module as its class.

    One that stands in several places is kept in the first alone.
    """
    sizes = [(path.name, path.stat().st_size) for name in MODULES for path in _files(name)]
    identity = digest("docstrings", tuple(sys.version_info), sizes)
    return Corpus("docstrings", lambda: iter(_texts()), identity)


@functools.cache
def _texts() -> tuple[Text, ...]:
    return tuple(_found())


def _files(name: str) -> list[Path]:
    path = Path(os.__file__).parent / MODULES[name]
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def _found() -> Iterator[Text]:
    seen: set[str] = set()
    for name in MODULES:
        for path in _files(name):
            for text in docstrings_of(path):
                words = " ".join(text.split())
                if len(words) >= _LONG_ENOUGH and words not in seen:
                    seen.add(words)
                    yield Text(words, (0, len(seen)), label=name)
