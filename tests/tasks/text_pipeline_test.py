"""Mistakes of masked language models seen in the field, through tokenizer, index and loader."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from maskjax import data
from maskjax.config import masks
from maskjax.tasks.task import Context
from maskjax.tasks.text_masks import make_text_masks
from maskjax.training import step

SEED, EPOCHS, LENGTH = 3, 4, 24
WORDS = "a new york is not far from here and small but lovely [SEP] in may or june"
DEFAULT = (0.8, 0.1, 0.1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """`drawn(batch_size, num_workers=, **mask)`: {(row, epoch): _Row} of EPOCHS epochs; and V."""
    folder, rng = tmp_path_factory.mktemp("texts"), np.random.default_rng(0)
    texts = (" ".join(rng.choice(WORDS.split(), rng.integers(4, 30))) for _ in range(40))
    (folder / "texts.txt").write_text("\n\n".join(texts))

    def drawn(batch_size=4, *, num_workers=0, copies=0, split=DEFAULT, **mask):
        own = {"num_workers": num_workers, "tokenizer": "wordpiece:80", "max_length": LENGTH}
        own |= {"source": f"text:{folder / 'texts.txt'}", "index": str(folder)}
        built = data.build(own, seed=SEED, batch_size=batch_size)
        section = masks(**{"ratio": 0.5, "fill": "token", **mask})
        section.update({"copies": copies, "split": split, "eval_ratio": 0.15})
        config = {"mask": section, "data": {"missing": ""}, "total_steps": 99, "seed": SEED}
        made = make_text_masks(ConfigDict(config), built)

        @jax.jit
        def asked(batch, number):
            keys = step.train_keys(SEED, number, jnp.arange(batch_size))
            documents = step.document_keys(SEED, batch["id"])
            question = made.question(batch, Context(keys, number, documents))
            return question.is_masked, question.ids

        found, batches = {}, built.train_batches()
        steps = EPOCHS * built.num_train // batch_size
        for number, batch in itertools.islice(enumerate(batches), steps):
            shown = map(np.asarray, asked(batch, jnp.int32(number)))
            names = zip(batch["id"].tolist(), batch["epoch"].tolist(), strict=True)
            most = [batch["tokens"].max()] * batch_size
            rows = zip(most, batch["tokens"], batch["is_special"], *shown, strict=True)
            found |= dict(zip(names, rows, strict=True))
        batches.close()
        return found, built.processor.tokenizer

    return drawn


def as_bytes(rows):
    return {
        name: is_masked.tobytes() + ids.tobytes() for name, (*_, is_masked, ids) in rows.items()
    }


@pytest.mark.parametrize("rule", ["random", "whole_word", "spans", "t5_spans", "sliding"])
def test_special_tokens_and_padding_are_never_hidden_or_replaced(drawn, rule):
    rows, tokenizer = drawn(rule=rule, ratio=0.8)
    for _, tokens, is_special, is_masked, ids in rows.values():
        np.testing.assert_array_equal(is_special, np.isin(tokens, tokenizer.special_ids))
        assert not is_masked[is_special].any()
        np.testing.assert_array_equal(ids[~is_masked], tokens[~is_masked])
    (sep,) = tokenizer.frame.after
    assert any((tokens == sep).sum() > 3 for _, tokens, *_ in rows.values())  # within texts, too


def test_every_epoch_has_masks_of_its_own_or_a_few_that_come_again(drawn):
    fresh, static = as_bytes(drawn()[0]), as_bytes(drawn(copies=2)[0])
    rows = {row for row, _ in fresh}
    assert {epoch for _, epoch in fresh} == set(range(EPOCHS))
    for row in rows:
        own = {fresh[row, epoch] for epoch in range(EPOCHS) if (row, epoch) in fresh}
        assert len(own) == sum((row, epoch) in fresh for epoch in range(EPOCHS))
    for (row, epoch), seen in static.items():
        assert seen == static.get((row, epoch % 2), seen)
    assert {name: fresh[name] for name in fresh if name[1] < 2} == {
        name: static[name] for name in static if name[1] < 2
    }


def test_masks_depend_neither_on_the_batch_nor_on_workers(drawn):
    one, other = as_bytes(drawn(4)[0]), as_bytes(drawn(5, num_workers=1)[0])
    both = one.keys() & other.keys()
    assert len(both) > 0.8 * len(one)
    assert all(one[name] == other[name] for name in both)


def test_random_tokens_are_of_the_whole_vocabulary_whatever_a_row_holds(drawn):
    rows, tokenizer = drawn(2, split=(0.0, 1.0, 0.0), ratio=0.9)
    hidden = [(most, ids[is_masked]) for most, *_, is_masked, ids in rows.values()]
    assert len(np.unique(np.concatenate([ids for _, ids in hidden]))) == tokenizer.vocab_size
    assert sum(ids.max() > most for most, ids in hidden) > 2  # than all of its batch


def test_shares_of_the_mask_token_of_random_ones_and_of_kept_ones(drawn):
    rows, tokenizer = drawn(ratio=0.9)
    pairs = [(tokens[hidden], ids[hidden]) for _, tokens, _, hidden, ids in rows.values()]
    was, now = map(np.concatenate, zip(*pairs, strict=True))
    is_mask, is_kept = now == tokenizer.specials.mask, now == was
    shares = (is_mask.mean(), (~is_mask & ~is_kept).mean(), is_kept.mean())
    np.testing.assert_allclose(shares, DEFAULT, atol=0.035)  # of about 1500
