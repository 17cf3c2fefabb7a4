"""Real Python source whose own `ast` and `tokenize` say what each name in it is.

The texts are the standard library's functions, class headers and imports. Their words are tokens,
their tags what Python itself knows: exact labels that nobody had to write, and no human language.
"""

import ast
import bisect
import functools
import io
import os
import sys
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from maskjax.data.sources import digest
from maskjax.data.text.corpora import Corpus, tagged
from maskjax.data.text.files import Text

KINDS = ("argument", "attribute", "class", "function", "import")
MOST_WORDS = 64  # of a text
_LETTERS = 12  # of a string that is kept as it is
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_PASSED = {
    tokenize.ENCODING, tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT,
    tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip
_OTHER = ""  # what is bound and none of the kinds, or several


def names() -> Corpus:
    """Texts of the standard library's own modules, in the order of files and lines."""
    sizes = [(path.name, path.stat().st_size) for path in modules()]
    identity = digest("names", tuple(sys.version_info), sizes)
    return Corpus("names", lambda: iter(_texts()), identity)


@functools.cache
def _texts() -> tuple[Text, ...]:
    seen: set[str] = set()
    found: list[Text] = []
    for path in modules():
        for words in tagged_source(path.read_bytes()):
            text = tagged(words, len(found) + 1)
            if len(words) > 2 and text.text not in seen:  # no held-out text stands elsewhere
                seen.add(text.text)
                found.append(text)
    return tuple(found)


def modules() -> list[Path]:
    """The standard library's modules that are no packages, sorted."""
    return sorted(Path(os.__file__).parent.glob("*.py"))


def tagged_source(source: bytes) -> Iterator[list[tuple[str, str]]]:
    """Say what the names of a module are.

    A name is an "argument" where it is a parameter, of the function or by keyword in a call, or
    stands for one; a "function", "class" or "import" where it is defined, and where it stands for
    what its innermost scope binds as that alone; an "attribute" behind a dot. `os.path` in an
    import is one of three words. Of functions within functions nothing is a text of its own.

    Args:
        source: a module.

    Yields:
        (word, BIO tag) of the first `MOST_WORDS` tokens of each function, class header and import.
        Long strings, and all that are formatted, are empty ones.

    >>> found = list(tagged_source(b"import os.path as p\\ndef f(x): return p.join(x, y)"))
    >>> " ".join(f"{word}/{tag[2:]}" for word, tag in found[1] if tag != "O")
    'f/function x/argument p/import join/attribute x/argument'
    >>> found[0]
    [('import', 'O'), ('os', 'B-import'), ('.', 'I-import'), ('path', 'I-import'), ('as', 'O'), \
('p', 'B-import')]
    """
    tree = ast.parse(source)
    kinds = _Kinds(tree, source.splitlines(keepends=True)).found
    tokens = list(_tokens(source))
    starts = [token.start for token in tokens]
    for node in _units(tree):
        end = (node.end_lineno or node.lineno, 2**20)
        if isinstance(node, ast.ClassDef):  # its header alone
            first = node.body[0]
            lines = [first, *getattr(first, "decorator_list", ())]
            body = (min(each.lineno for each in lines), 0)
            end = body if body[0] > node.lineno else end
        inside = tokens[
            bisect.bisect_left(starts, (node.lineno, 0)) : bisect.bisect_left(starts, end)
        ]
        inside = inside[:MOST_WORDS]
        tags = _import_tags(inside) if isinstance(node, _IMPORTS) else _tags(inside, kinds)
        yield list(zip((token.string for token in inside), tags))


def _units(node: ast.AST) -> Iterator[ast.stmt]:
    """Functions, classes and imports that are within no function, in the order of lines."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*_FUNCTIONS, *_IMPORTS, ast.ClassDef)):
            yield child
        if isinstance(child, ast.stmt | ast.ExceptHandler) and not isinstance(child, _FUNCTIONS):
            yield from _units(child)


class _Token(NamedTuple):
    string: str
    start: tuple[int, int]  # line from 1, character from 0
    is_name: bool


def _tokens(source: bytes) -> Iterator[_Token]:
    """What a module is made of, layout and comments left out."""
    formatted = 0  # since Python 3.12 what is within such strings are tokens, too
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        kind = tokenize.tok_name[token.type]
        formatted += (kind == "FSTRING_START") - (kind == "FSTRING_END")
        if kind == "FSTRING_END" and not formatted:
            yield _Token('""', token.start, False)
        elif token.type == tokenize.STRING and not formatted:
            is_kept = len(token.string) <= _LETTERS and not any(map(str.isspace, token.string))
            is_kept = is_kept and "f" not in token.string.partition(token.string[-1])[0].lower()
            yield _Token(token.string if is_kept else '""', token.start, False)
        elif token.type not in _PASSED and not formatted and token.string.strip():
            yield _Token(token.string, token.start, token.type == tokenize.NAME)


def _tags(tokens: Sequence[_Token], kinds: Mapping[tuple[int, int], tuple[str, str]]) -> list[str]:
    """Tags of code by what is known of places; a name behind `def` or `class` tells itself."""
    found, before = [], ""
    for token in tokens:
        name, kind = kinds.get(token.start, ("", ""))
        if before in ("def", "class"):
            kind = {"def": "function", "class": "class"}[before]
        elif name != token.string:
            kind = ""
        found.append(f"B-{kind}" if kind and token.is_name else "O")
        before = token.string
    return found


def _import_tags(tokens: Sequence[_Token]) -> list[str]:
    """Tags of an import: each name, with its dots, is one."""
    found, is_inside = [], False
    for token in tokens:
        word = token.string
        is_part = word not in ("import", "from", "as") and (token.is_name or set(word) == {"."})
        found.append(("I-import" if is_inside else "B-import") if is_part else "O")
        is_inside = is_part
    return found


class _Kinds(ast.NodeVisitor):
    """Finds what stands where: {(line, character): (name, kind)}."""

    def __init__(self, tree: ast.Module, lines: Sequence[bytes]):
        self.found: dict[tuple[int, int], tuple[str, str]] = {}
        self._lines = lines
        self._scopes = [_bound(tree.body)]
        self.visit(tree)

    def _put(self, line: int, byte: int, name: str, kind: str) -> None:
        self.found[line, len(self._lines[line - 1][:byte].decode())] = (name, kind)

    def visit_Name(self, node: ast.Name) -> None:
        """Take the kind of the innermost scope that binds the name."""
        kind = next((scope[node.id] for scope in self._scopes[::-1] if node.id in scope), _OTHER)
        self._put(node.lineno, node.col_offset, node.id, kind)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """What ends the expression is the attribute."""
        at = (node.end_col_offset or 0) - len(node.attr.encode())
        self._put(node.end_lineno or node.lineno, at, node.attr, "attribute")
        self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        """A parameter."""
        self._put(node.lineno, node.col_offset, node.arg, "argument")
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        """An argument by its name."""
        if node.arg is not None:
            self._put(node.lineno, node.col_offset, node.arg, "argument")
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Formatted strings are one word, whatever is in them."""

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """A function without a name."""
        self._function(node, [node.body], [])

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """What the body names is looked up in its own scope first, what is around it is not."""
        outside = [*node.decorator_list, *([node.returns] if node.returns else [])]
        self._function(node, node.body, outside)

    visit_AsyncFunctionDef = visit_FunctionDef

    def _function(
        self,
        node: ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef,
        body: Sequence[ast.AST],
        outside: Sequence[ast.AST],
    ) -> None:
        for each in (*outside, node.args):
            self.visit(each)
        parameters = (each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg))
        self._scopes.append(_bound(body) | dict.fromkeys(parameters, "argument"))
        for each in body:
            self.visit(each)
        self._scopes.pop()


def _bound(body: Sequence[ast.AST]) -> dict[str, str]:
    """What a scope binds, with its kind; what is bound in two ways has none."""
    found: dict[str, str] = {}

    def bind(name: str, kind: str) -> None:
        found[name] = kind if found.get(name, kind) == kind else _OTHER

    def look(node: ast.AST) -> None:
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            bind(node.name, "class" if isinstance(node, ast.ClassDef) else "function")
            return
        if isinstance(node, ast.Lambda):
            return
        if isinstance(node, _IMPORTS):
            for alias in node.names:
                bind(alias.asname or alias.name.partition(".")[0], "import")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            bind(node.id, _OTHER)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bind(node.name, _OTHER)
        for child in ast.iter_child_nodes(node):
            look(child)

    for node in body:
        look(node)
    return found
