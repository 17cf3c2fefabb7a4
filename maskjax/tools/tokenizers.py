"""Tokenizers trained on texts of one's own, into a file."""

from pathlib import Path

from maskjax.data.text import TextSettings, corpus_named, training
from maskjax.paths import atomic_file


def train_tokenizer(
    source: str, output: Path, kind: str, size: int, *, is_cased: bool, text_column: str
) -> str:
    """Train a tokenizer and write it.

    Args:
        source: see `corpus_named`.
        output: the file, a tokenizer.json by any name.
        kind: see `training.train`, as the next two.
        size: most tokens.
        is_cased: whether capitals stay.
        text_column: what holds the text, of JSON lines and CSV.

    Returns:
        A line for the user.

    Raises:
        ValueError: texts that cannot be read, a size that does not fit, no folder for the file, or
            a name that would be read as another format.
        FileNotFoundError: there are no such texts.
    """
    if not output.parent.is_dir():
        raise ValueError(f"--output {output}: there is no folder {output.parent}; make it")
    if output.suffix == ".txt" or output.is_dir():
        raise ValueError(f"--output {output}: give the name of a file, such as tokenizer.json")
    corpus = corpus_named(source, TextSettings(text_column=text_column))
    made = training.train(corpus, kind, size, is_cased=is_cased)
    with atomic_file(output) as file:
        file.write(made.text)
    return f"{output}: {kind} of {made.vocab_size} tokens"
