"""Texts with holes: what is asked of a model that fills them, and how it is told."""

import dataclasses
from typing import Any

import numpy as np

from maskjax.data import Example
from maskjax.data.text import TextProcessor
from maskjax.spelling import unknown_name
from maskjax.tasks.mlm import MaskedText
from maskjax.tasks.unmask import ONE_BY_ONE, WRITING, How
from maskjax.tools.answers import Answers, OfRun
from maskjax.tools.punctuation import PUNCTUATE, Punctuating

FILL, GENERATE = "fill", "generate"
_NEW_TOKENS = "new_tokens"
_USUAL = 32  # new tokens, where nobody says how many


@dataclasses.dataclass(frozen=True)
class Prompts(TextProcessor):
    """Reads texts that are written on: with holes behind them, beside those that they have.

    Attributes:
        new_tokens: holes that are made.
        is_most: whether fewer will do where a text leaves no room for so many.
    """

    new_tokens: int = 1
    is_most: bool = False

    def from_text(self, text: str, where: str) -> Example:
        """Make an example of a text, which messages call `where`.

        Raises:
            ValueError: characters that the vocabulary lacks, or no room behind it.
        """
        mask = self.tokenizer.token(self.tokenizer.specials.mask)
        text = self.with_holes(text.strip())
        size = checked_size(self, text, where)
        left = self.room - size
        new = min(self.new_tokens, max(left, 1)) if self.is_most else self.new_tokens
        if new > left:
            advice = f", or ask for {left} at most (--how={_NEW_TOKENS}={left})" if left > 0 else ""
            raise ValueError(
                f"{where} has {size} tokens, {new} are to be written, and the model reads "
                f"{self.room} at a time: cut it{advice}"
            )
        return super().from_text(text + mask * new, where)


@dataclasses.dataclass(frozen=True)
class Known(TextProcessor):
    """Reads texts that are given back: nothing of them may be lost."""

    def from_text(self, text: str, where: str) -> Example:
        """Make an example of a text; see `Prompts.from_text`."""
        size = checked_size(self, self.with_holes(text.strip()), where)
        if size > self.room:
            raise ValueError(
                f"{where} has {size} tokens, and the model reads {self.room} at a time: cut it"
            )
        return super().from_text(text, where)


def checked_size(processor: TextProcessor, text: str, where: str) -> int:
    """Count the tokens of a text; of characters that a vocabulary lacks the first is refused."""
    unk = processor.tokenizer.specials.unk
    (found,) = processor.tokenizer.encode([text], has_offsets=True)
    unknown = np.flatnonzero(found.ids == unk) if unk is not None else []
    if len(unknown):
        assert found.offsets is not None
        begin, end = found.offsets[unknown[0]].tolist()
        raise ValueError(
            f"{where} has {text[begin:end]!r} at character {begin + 1}, which the vocabulary of "
            "this model lacks: write it in another way"
        )
    return len(found.ids)


def prepare(answers: Answers, what: str, how: str) -> Answers:
    """Tell a model how to fill holes, where that is asked of it.

    Args:
        answers: the model.
        what: is asked of it; "" is what it shows first.
        how: pairs, such as "new_tokens=40,temperature=0.8"; see `unmask.How`.

    Returns:
        What answers, and reads texts as it is to be asked.

    Raises:
        ValueError: the model fills no holes and is asked to, or pairs that do not fit.
    """
    kinds = (FILL, GENERATE, PUNCTUATE)
    is_filling = isinstance(answers, OfRun) and isinstance(answers.run.task, MaskedText)
    if is_filling and what not in ("", *kinds, *answers.outputs):
        raise ValueError(f"--what: {unknown_name('name', what, (*kinds, *answers.outputs))}")
    if what not in kinds and not how:
        return answers
    asked = f"--how={how}" if how else f"--what={what}"
    if not isinstance(answers, OfRun) or not isinstance(answers.run.task, MaskedText):
        if what == FILL and not how:  # of items, say
            return answers
        raise ValueError(
            f"{asked} is for runs that fill holes of texts, such as those of mlm and "
            f"diffusion_lm, and this is {answers.task!r}"
        )
    if what not in ("", *kinds):
        raise ValueError(f"{asked} is for --what={'|'.join(kinds)}: leave it out with {what!r}")
    chosen, new_tokens = parse(how, WRITING if what == GENERATE else ONE_BY_ONE)
    if new_tokens is not None and what != GENERATE:
        raise ValueError(f"{asked}: {_NEW_TOKENS} are of --what={GENERATE}")
    if what == PUNCTUATE and how:
        raise ValueError(f"{asked} says nothing to --what={PUNCTUATE}: leave it out")
    if what in (GENERATE, PUNCTUATE) and answers.processor.has_pairs:
        raise ValueError(f"--what={what} is for single texts, and this run knows pairs")
    run = answers.run._replace(task=dataclasses.replace(answers.run.task, how=chosen))
    made = Punctuating(run) if what == PUNCTUATE else OfRun(run)
    fields = {each.name: getattr(made.processor, each.name) for each in _fields(TextProcessor)}
    if what == GENERATE:
        number = {"new_tokens": new_tokens or _USUAL, "is_most": new_tokens is None}
        made.processor = Prompts(**fields, **number)
    elif what == PUNCTUATE:
        made.processor = Known(**fields)
    return made


def parse(text: str, usual: How) -> tuple[How, int | None]:
    """Read pairs with commas between.

    Args:
        text: as "new_tokens=40,temperature=0.8"; "" is what is usual.
        usual: what stands where nothing is said.

    Returns:
        How holes are filled, and the number of new tokens, None where nothing is said.

    Raises:
        ValueError: an unknown name, or a value that does not fit.

    >>> parse("new_tokens=40,top_k=2", ONE_BY_ONE)[0].top_k
    2
    """
    kinds: dict[str, Any] = {each.name: type(getattr(usual, each.name)) for each in _fields(How)}
    kinds[_NEW_TOKENS] = int
    found = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in kinds:
            raise ValueError(f"--how={text}: {unknown_name('key', name, kinds)}")
        try:
            found[name] = kinds[name](value)
        except ValueError:
            wish = {int: "a whole number", float: "a number"}[kinds[name]]
            raise ValueError(f"--how={text}: {name} must be {wish}, not {value!r}") from None
    new_tokens = found.pop(_NEW_TOKENS, None)
    if new_tokens is not None and new_tokens < 1:
        raise ValueError(f"--how={text}: {_NEW_TOKENS} must be at least 1")
    try:
        return dataclasses.replace(usual, **found), new_tokens
    except ValueError as error:
        raise ValueError(f"--how={text}: {error}") from None


def _fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind)
