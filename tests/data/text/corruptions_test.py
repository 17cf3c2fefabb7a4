"""Corruptions of texts: what each does, by its definition, and what decides."""

import numpy as np
import pytest

from maskjax import data
from maskjax.data.corruption import SEVERITIES
from maskjax.data.text.corruptions import CORRUPTIONS

LENGTH = 64
SHARES = (0.05, 0.1, 0.15, 0.2, 0.3)  # the table of the page, written again


@pytest.fixture(scope="module")
def built():
    """Docstrings through the tokenizer of bytes, in rows that are mostly padded."""
    config = {"source": "docstrings", "max_length": LENGTH, "tokenizer": "", "layout": "whole"}
    return data.build(config, seed=3, batch_size=8)


def _rows(built, corruption=None):
    """The validation as it is judged, of examples alone."""
    (batch,) = built.eval_batches("validation", 256, 150, corruption)
    return {name: x[batch["is_valid"]] for name, x in batch.items()}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_share_of_ordinary_tokens_changes_and_a_stronger_one_holds_the_weaker(built, name):
    clean = _rows(built)
    mask = built.processor.tokenizer.specials.mask
    special = list(built.processor.tokenizer.special_ids)
    before = np.zeros(clean["tokens"].shape, bool)
    for severity, share in zip(SEVERITIES, SHARES, strict=True):
        noisy = _rows(built, (name, severity))
        for same in ("id", "label", "segment_ids", "is_special", "positions"):
            if name == "random_tokens" or same != "is_special":
                np.testing.assert_array_equal(noisy[same], clean[same])
        changed = noisy["tokens"] != clean["tokens"]
        assert not (changed & clean["is_special"]).any()
        wanted = [round(share * int(n)) for n in (~clean["is_special"]).sum(1)]
        if name == "masked_tokens":
            assert (noisy["tokens"][changed] == mask).all()
            assert changed.sum(1).tolist() == wanted
        else:  # one of 256 bytes is drawn again
            assert (changed.sum(1) <= wanted).all()
            assert changed.sum() > 0.98 * sum(wanted)
            assert not np.isin(noisy["tokens"][changed], special).any()
            assert len(np.unique(noisy["tokens"][changed])) > 200  # of the whole vocabulary
        assert (before <= changed).all()
        before = changed
    assert before.sum() > 0


def test_seed_and_id_decide(built):
    first, again = (_rows(built, ("random_tokens", 3))["tokens"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    config = {"source": "docstrings", "max_length": LENGTH, "tokenizer": "", "layout": "whole"}
    other = data.build(config, seed=4, batch_size=8)
    mine, others = _rows(built, ("random_tokens", 3)), _rows(other, ("random_tokens", 3))
    shared = set(mine["id"]) & set(others["id"])
    assert shared
    pick = lambda rows: {int(i): x for i, x in zip(rows["id"], rows["tokens"])}  # noqa: E731
    assert any((pick(mine)[int(i)] != pick(others)[int(i)]).any() for i in shared)
    with pytest.raises(ValueError, match=r"'random_token' \(did you mean 'random_tokens'\?\)"):
        built.check_corruptions(("random_token",))
