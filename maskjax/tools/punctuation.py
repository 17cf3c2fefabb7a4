"""Punctuation for a text that has none: holes are offered between its words."""

import functools
from collections.abc import Sequence
from typing import Any, cast

import jax
import numpy as np

from maskjax import data as data_layer
from maskjax.data import Example
from maskjax.evaluation.panels import Panel, TextPanel
from maskjax.tasks.mlm import MaskedText
from maskjax.tasks.unmask import How
from maskjax.tools.answers import OfRun
from maskjax.typing import Bool, Int

PUNCTUATE = "punctuate"
MARKS = ".,;:!?"
_ROWS = 16  # holes that are looked into at a time
_LIKELIEST = How(steps=1, top_k=1)


class Punctuating(OfRun):
    """A run's state that is asked for marks.

    A hole is offered behind every word, each in a copy of the text of its own. Of all holes whose
    likeliest token is a mark the one with the likeliest is filled, and all are offered again around
    it, until none is left.
    """

    def panels(self, examples: Sequence[Example], size: int, first: int) -> dict[str, Panel]:
        """Put marks into texts."""
        del size, first
        made = [self._punctuated(example) for example in examples]
        tokens, is_written, is_valid = (np.stack(each) for each in zip(*made, strict=True))
        return {PUNCTUATE: TextPanel(tokens, is_written, is_valid)}

    def _punctuated(self, example: Example) -> tuple[Any, Any, Any]:
        """Tokens of a row, which of them are new, and which are of the text."""
        frame = self.processor.tokenizer.frame
        count = (example["segment_ids"] > 0).sum() - len(frame.before) - len(frame.after)
        places = len(frame.before) + np.arange(count)
        ids, starts = example["tokens"][places], example["is_start"][places]
        is_new = np.zeros(len(ids), bool)
        while len(ids) < self.processor.room:
            gaps = self._gaps(ids, starts)
            found, chances = self._asked(ids, starts, gaps)
            chances = np.where(np.isin(found, self._marks), chances, 0.0)
            if not len(gaps) or chances.max() <= 0:
                break
            gap, mark = gaps[chances.argmax()], found[chances.argmax()]
            ids, starts = np.insert(ids, gap, mark), np.insert(starts, gap, True)
            is_new = np.insert(is_new, gap, True)
        row = self.processor({"pieces": [(ids, starts)]})
        begin = len(self.processor.tokenizer.frame.before)
        is_valid, is_written = np.zeros((2, len(row["tokens"])), bool)
        is_valid[begin : begin + len(ids)] = True
        is_written[begin : begin + len(ids)] = is_new
        return row["tokens"], is_written, is_valid

    def _gaps(self, ids: Int[np.ndarray, "n"], starts: Bool[np.ndarray, "n"]) -> np.ndarray:
        """Places behind words; none where a mark stands already, or behind white space."""
        ends = np.append(starts[1:], True)
        is_taken = np.isin(ids, self._marks) | self._is_space[ids]
        is_before_mark = np.append(np.isin(ids[1:], self._marks), False)
        return np.flatnonzero(ends & ~is_taken & ~is_before_mark) + 1

    def _asked(
        self, ids: Int[np.ndarray, "n"], starts: Bool[np.ndarray, "n"], gaps: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest token of each hole, and its probability."""
        processor, state, task = self.processor, self.run.state, cast(MaskedText, self.run.task)
        mask, begin = processor.tokenizer.specials.mask, len(processor.tokenizer.frame.before)
        keys = jax.random.split(jax.random.key(0), _ROWS)
        found, chances = [], []
        for at in range(0, len(gaps), _ROWS):
            page = gaps[at : at + _ROWS]
            pieces = [(np.insert(ids, gap, mask), np.insert(starts, gap, True)) for gap in page]
            rows = [processor({"pieces": [piece]}) for piece in pieces]
            batch = data_layer.batch_of(processor, rows, _ROWS)
            is_hole = np.zeros(batch["tokens"].shape, bool)
            is_hole[np.arange(len(page)), begin + page] = True
            written = task.writer(state.eval_params, batch, is_hole, keys, _LIKELIEST)
            rows_at = (np.arange(len(page)), begin + page, 0)
            found.append(np.asarray(written.guesses)[rows_at])
            chances.append(np.asarray(written.probabilities)[rows_at])
        return np.concatenate(found or [[]]), np.concatenate(chances or [[]])

    @functools.cached_property
    def _marks(self) -> Int[np.ndarray, "_"]:
        """Ids of marks; a vocabulary without any is refused."""
        found = [i for i, word in enumerate(self._spelled) if word and word in MARKS]
        if not found:
            raise ValueError(f"the vocabulary of this model has none of {' '.join(MARKS)}")
        return np.array(found)

    @functools.cached_property
    def _is_space(self) -> Bool[np.ndarray, "V"]:
        spell = self.processor.tokenizer.decode
        return np.array([spell([i]).isspace() for i in range(self.processor.vocab_size)])

    @functools.cached_property
    def _spelled(self) -> list[str]:
        spell = self.processor.tokenizer.decode
        return [spell([i]).strip() for i in range(self.processor.vocab_size)]
