"""Real English that is on every machine: Python's documentation topics and its docstrings."""

import ast
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from maskjax.data.sources import digest
from maskjax.data.text.corpora import Corpus
from maskjax.data.text.files import Text

_LONG_ENOUGH = 200  # characters of a document


def prose() -> Corpus:
    """Python's own documentation, a document a topic and a module of the standard library.

    Paragraphs that stand in several documents are kept in the first alone, so that no held-out
    document repeats what is learned from.
    """
    sizes = [(path.name, path.stat().st_size) for path in _modules()]
    identity = digest("prose", tuple(sys.version_info), sizes)
    return Corpus("prose", lambda: iter(_texts()), identity)


@functools.cache
def _texts() -> tuple[Text, ...]:
    return tuple(_unique(_documents(_modules())))


def _modules() -> list[Path]:
    return sorted(Path(os.__file__).parent.glob("*.py"))


def _documents(modules: list[Path]) -> Iterator[str]:
    from pydoc_data import topics

    yield from (text for _, text in sorted(topics.topics.items()))
    for path in modules:
        yield "\n\n".join(docstrings_of(path))


def docstrings_of(path: Path) -> Iterator[str]:
    """The docstrings of a module, its own first."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, kinds) and (found := ast.get_docstring(node)):
            yield found


def _unique(documents: Iterator[str]) -> Iterator[Text]:
    """Leave out paragraphs that were there before, and what little is then left of a document."""
    seen: set[str] = set()
    number = 0
    for document in documents:
        kept = []
        for paragraph in document.split("\n\n"):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                seen.add(words)
                kept.append(paragraph.strip("\n"))
        text = "\n\n".join(kept)
        if len(text) >= _LONG_ENOUGH:
            number += 1
            yield Text(text, (0, number))
