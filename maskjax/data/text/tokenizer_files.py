"""Tokenizers from files: tokenizer.json, vocab.txt, and the folders that they are published in."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskjax.data.text.subwords import (
    Subwords,
    Tokenizer,
    bytes_json,
    from_description,
    wordpiece_json,
)
from maskjax.data.text.tokenizer import NAMES
from maskjax.paths import local_path

_FILE = "tokenizer.json"
_BESIDE = ("special_tokens_map.json", "tokenizer_config.json")


def published_files(tokenizer: Tokenizer, max_length: int, num_types: int) -> dict[str, str]:
    """Write a tokenizer as transformers reads it: {name of a file: its content}.

    Args:
        tokenizer: what it is.
        max_length: the most tokens that the model takes.
        num_types: types of tokens that it tells apart.
    """
    ids = tokenizer.specials._asdict()
    names = {f"{name}_token": tokenizer.token(i) for name, i in ids.items() if i is not None}
    inputs = ["input_ids", *(["token_type_ids"] if num_types > 1 else []), "attention_mask"]
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": inputs,
        **names,
    }
    content = tokenizer.text if isinstance(tokenizer, Subwords) else bytes_json()
    return {
        _FILE: content,
        "tokenizer_config.json": json.dumps(config, indent=2, ensure_ascii=False) + "\n",
    }


def read_tokenizer(text: str) -> Tokenizer:
    """Read a tokenizer.json, a vocab.txt, a folder that has one of them, or that of a run.

    Args:
        text: the path.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is none, or lacks a mask token; the message says how to add one.
    """
    path = local_path(text, "data.tokenizer")
    if path.is_dir():
        if (of_run := _of_run(path)) is not None:
            return of_run
        inside = [path / name for name in (_FILE, "vocab.txt")]
        path = next((each for each in inside if each.is_file()), path)
        if path.is_dir():
            raise FileNotFoundError(
                f"data.tokenizer={text!r} has neither tokenizer.json nor vocab.txt, and is no run"
                " of texts: give a folder that has, or such a file"
            )
    if not path.is_file():
        raise FileNotFoundError(
            f"data.tokenizer={text!r}: no such file; `python launch/tokenize.py --input=TEXTS"
            f" --output={text}` makes one, and '' takes bytes"
        )
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no tokenizer: byte {error.start} is no UTF-8") from None
    told = _told_beside(path)
    named = tuple(sorted((k, v) for k, v in told.items() if k in NAMES))
    if path.suffix == ".txt":
        lower, names = told.get("do_lower_case"), [name for _, name in named]
        found = Subwords(wordpiece_json(_vocabulary(content, path), lower, names), named)
    else:
        found = Subwords(content, named)
    try:
        found._tokenizer  # noqa: B018 - reads it
    except Exception as error:  # the library raises this very class
        raise ValueError(
            f"{path} is no tokenizer of the library tokenizers ({error}): give a tokenizer.json or"
            " a vocab.txt"
        ) from None
    try:
        mask = found.specials.mask
    except ValueError:
        name = told.get("mask", NAMES["mask"][0])
        raise ValueError(f"{path} has no mask token: {_how_to_add(path, content, name)}") from None
    name = found.token(mask)
    if mask not in found.encode([name])[0].ids:
        raise ValueError(
            f"{path} takes its mask token {name} for words where it stands in a text:"
            f" {_how_to_add(path, content, name)}"
        )
    return found


def _of_run(folder: Path) -> Tokenizer | None:
    """The tokenizer that a run of maskjax learned with; None where the folder is no such run."""
    try:
        record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return from_description(record["data"]["tokenizer"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _how_to_add(path: Path, content: str, name: str) -> str:
    """A command for a shell, whatever stands in the path and in the token's name."""
    if path.suffix == ".txt":
        line = ("" if content.endswith("\n") else "\\n") + "%s\\n"
        words = f"printf {shlex.quote(line)} {shlex.quote(name)} >> {shlex.quote(str(path))}"
        return f"add one as the last line, `{words}`"
    file, token = (json.dumps(each, ensure_ascii=False) for each in (str(path), name))
    code = (
        f"from tokenizers import Tokenizer as T; t = T.from_file({file});"
        f" t.add_special_tokens([{token}]); t.save({file})"
    )
    return f"add one, `python -c {shlex.quote(code)}`"


def _told_beside(path: Path) -> dict[str, Any]:
    """What the files beside a tokenizer say of special tokens and of small letters."""
    told: dict[str, Any] = {}
    for name in _BESIDE:
        beside = path.parent / name
        if not beside.is_file():
            continue
        try:
            found = json.loads(beside.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{beside} is no JSON ({error}): mend or remove it") from None
        if not isinstance(found, dict):
            raise ValueError(f"{beside} is no JSON object: mend or remove it")
        for purpose in NAMES:
            token = found.get(f"{purpose}_token")
            token = token.get("content") if isinstance(token, Mapping) else token
            if isinstance(token, str):
                told[purpose] = token
        if "do_lower_case" in found:
            told["do_lower_case"] = bool(found["do_lower_case"])
    return told


def _vocabulary(content: str, path: Path) -> dict[str, int]:
    """Read a vocab.txt: a token a line, whose number is its id."""
    lines = content.removesuffix("\n").split("\n")
    vocabulary: dict[str, int] = {}
    for number, line in enumerate(lines):
        token = line.rstrip("\r")
        if token in vocabulary:
            raise ValueError(
                f"line {number + 1} of {path} has {token!r}, as line {vocabulary[token] + 1} has:"
                " a token stands once"
            )
        vocabulary[token] = number
    if NAMES["unk"][0] not in vocabulary:
        raise ValueError(
            f"{path} is no vocabulary of WordPiece: it has no line {NAMES['unk'][0]}; add one"
        )
    return vocabulary
