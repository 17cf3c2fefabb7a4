"""Masks of texts by a trained tokenizer, the index and the loader, against slow loops."""

import itertools
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from maskjax import data
from maskjax.config import masks
from maskjax.data.text import training
from maskjax.data.text.collocations import learn, unit_starts, words_of
from maskjax.masking import text
from maskjax.tasks.task import Context
from maskjax.tasks.text_masks import make_text_masks

LENGTH = 32
NAMES = "is not far from here and not small but lovely in may or june"
WORDS = ["new", "york", *NAMES.split()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sentences in which "new york" stands together, and other words by chance."""
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(60):
        words = rng.choice(WORDS[2:], 9).tolist()
        at = int(rng.integers(0, 9))
        lines.append(" ".join([*words[:at], "new york", *words[at:]]))
    folder = tmp_path_factory.mktemp("texts")
    (folder / "texts.txt").write_text("\n\n".join(lines))
    return folder


def build(folder, **config):
    config = {
        "source": f"text:{folder / 'texts.txt'}", "max_length": LENGTH, "index": str(folder),
        "tokenizer": "wordpiece:80", "validation_fraction": 0.1, "test_fraction": 0, **config,
    }  # fmt: skip
    return data.build(config, seed=0, batch_size=8)


def masks_of(built, **mask):
    own = {"copies": 0, "split": (0.8, 0.1, 0.1), "eval_ratio": 0.15}
    own |= {name: mask.pop(name) for name in list(mask) if name in own}
    section = masks(**{"ratio": 0.3, "fill": "token", **mask})
    section.update(own)
    config = {"mask": section, "data": {"missing": ""}, "total_steps": 10, "seed": 0}
    return make_text_masks(ConfigDict(config), built)


def asked(built, batch=None, memory=None, step=0, **mask):
    """(question, batch) of the first training batch."""
    batch = next(built.train_batches()) if batch is None else batch
    made = masks_of(built, **mask)
    keys = jax.random.split(jax.random.key(3), (2, len(batch["id"])))
    memory = made.masker.start() if memory is None else memory
    context = Context(keys[0], jnp.int32(step), keys[1], memory, train=True)
    return jax.device_get(made.question(batch, context)), batch


def words_in(built, batch):
    """(row, places, text) of each word."""
    for row, ids in enumerate(batch["word_ids"]):
        for word in np.unique(ids[ids >= 0]):
            places = np.flatnonzero(ids == word)
            tokens = batch["tokens"][row, places].tolist()
            yield row, places, built.processor.tokenizer.decode(tokens)


def test_collocations_are_hidden_whole_and_replaced_alike(folder):
    built = build(folder, units="pmi:2")
    found, batch = asked(built, rule="whole_word", ratio=0.5, split=(0.5, 0.0, 0.5))
    units = list(words_in(built, batch))
    assert {unit for *_, unit in units} == {"new york", *WORDS[2:]}
    for row, places, _ in units:
        hidden = found.is_masked[row, places]
        assert hidden.all() or not hidden.any()
        behind = found.ids[row, places] == built.processor.tokenizer.specials.mask
        assert behind.all() or not behind.any()
    assert found.is_masked.any()


def test_collocations_are_those_of_a_slow_loop_over_all_cuts():
    rng = np.random.default_rng(1)
    tokens = rng.choice(6, 900, p=(0.4, 0.2, 0.1, 0.1, 0.1, 0.1))
    tokens[rng.choice(890, 40, replace=False)[:, None] + np.arange(3)] = [3, 4, 5]
    offsets = np.array([0, 300, 300, 650, 900])
    texts = [tokens[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    grams = {n: [tuple(t[i : i + n]) for t in texts for i in range(len(t) - n + 1)]
             for n in range(1, 6)}  # fmt: skip

    def chance(part):
        return np.log(grams[len(part)].count(part) / len(grams[len(part)]))

    def pmi(gram):
        inner = range(1, len(gram))
        cuts = [c for k in inner for c in itertools.combinations(inner, k)]
        sums = [
            sum(chance(gram[a:b]) for a, b in itertools.pairwise((0, *cut, len(gram))))
            for cut in cuts
        ]
        return chance(gram) - max(sums)

    words = words_of(tokens, np.ones(900, bool), offsets)
    learned = learn(words, 16)
    for length, count in ((2, 8), (3, 4), (4, 2)):
        known = {gram for gram in grams[length] if grams[length].count(gram) > 10}
        best = sorted(map(pmi, known), reverse=True)[:count]
        found = [tuple(tokens[at : at + length].tolist()) for at in learned[length].examples]
        np.testing.assert_allclose([pmi(gram) for gram in found], best)
    starts = unit_starts(words, {3: learned[3]}, 900)
    units = [tuple(unit.tolist()) for unit in np.split(tokens, np.flatnonzero(starts)[1:])]
    assert (3, 4, 5) in units
    assert {len(unit) for unit in units} == {1, 3}
    assert starts[offsets[[0, 1, 3]]].all()


def test_kinds_of_words_are_hidden_by_their_weights_and_whole(folder):
    built = build(folder, kinds=(("negation", "^not$"), ("in y", "y$")))
    mask = {"follows": "kinds", "kinds.other": 0.0, "ratio": 0.5}
    weights = (("negation", 1.0), ("in y", 1.0))
    for rule in ("weighted", "whole_word"):
        found, batch = asked(built, rule=rule, **mask, **{"kinds.weights": weights})
        seen = set()
        for row, places, word in words_in(built, batch):
            hidden = found.is_masked[row, places]
            seen |= {word} if hidden.any() else set()
            assert rule == "weighted" or hidden.all() or not hidden.any()
        assert seen
        assert seen <= {"not", "lovely", "may"}
    with pytest.raises(ValueError, match=r"mask\.kinds: no word has a kind: set data.kinds"):
        asked(build(folder), rule="weighted", **mask)
    with pytest.raises(ValueError, match=r"unknown mask\.kinds\.weights 'verb'"):
        asked(built, rule="weighted", **mask, **{"kinds.weights": (("verb", 1.0),)})


def test_accuracies_move_the_weights_of_ids_as_amlm_says(folder):
    built = build(folder)
    made = masks_of(built, rule="weighted", follows="accuracies", **{"accuracies.every_steps": 1})
    batch = next(built.train_batches())
    rng = np.random.default_rng(0)
    is_masked, is_right = rng.random((2, *batch["tokens"].shape)) < 0.5
    counted = ~batch["is_special"]
    given = map(jnp.asarray, (is_masked, counted, batch["tokens"], is_right))
    hidden, valid, ids, right = given
    args = (jnp.zeros(hidden.shape), hidden, valid, batch, ids, right)
    memory = made.masker.remember(made.masker.start(), made.masker.statistics(*args))
    size, weights = built.processor.vocab_size, []
    for token in range(size):
        here = (batch["tokens"] == token) & is_masked & counted
        accuracy = ((here & is_right).sum() + 0.5) / (here.sum() + 1)
        weights.append(max(0.2 * 0.3 + 0.8 * 0.3 * (1 - accuracy), 0.005))
    expected = np.array(weights) * 0.3 / np.mean(weights)
    np.testing.assert_allclose(memory.weights, expected, rtol=1e-5)
    easy = memory._replace(weights=jnp.full(size, 1e-6).at[batch["tokens"][0, 1]].set(1.0))
    found, _ = asked(built, batch, easy, rule="weighted", follows="accuracies", ratio=0.1)
    assert found.is_masked[batch["tokens"] == batch["tokens"][0, 1]].any()


def test_frequencies_and_labels_of_real_rows_move_what_is_hidden(folder):
    """Counts of ids by a slow loop: the rare are hidden more, and those of one class alone."""
    lines = (folder / "texts.txt").read_text().split("\n\n")
    records = [{"text": line, "label": "no" if "not" in line.split() else "yes"} for line in lines]
    (folder / "texts.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    source = {"source": f"jsonl:{folder / 'texts.jsonl'}", "text_column": "text"}
    built = build(folder, **source, label_column="label", layout="whole")
    batch = next(built.train_batches())
    zeros, counted = jnp.zeros(batch["tokens"].shape), ~batch["is_special"]
    given = (zeros, zeros > 0, jnp.asarray(counted), batch, jnp.asarray(batch["tokens"]))
    counts = np.zeros((2, built.processor.vocab_size))
    for row, place in np.argwhere(counted):
        counts[batch["label"][row], batch["tokens"][row, place]] += 1
    often = {"follows": "frequencies", "frequencies.exponent": 99.0}
    classes = {"follows": "labels", "labels.positive": (0,), "labels.alpha": 2.0}
    learned = []
    for mask in (often, classes):
        masker = masks_of(built, rule="weighted", **mask).masker
        learned.append((masker.start(), masker.remember(masker.start(), masker.statistics(*given))))
    np.testing.assert_array_equal(learned[0][1].counts - learned[0][0].counts, counts.sum(0))
    change = 2.0 / built.num_train * (counts[0] - counts[1])
    expected = np.clip(learned[1][0].ratios + change, 0, 1)
    np.testing.assert_allclose(learned[1][1].ratios, expected, atol=1e-6)
    for mask, (start, memory), name in zip((often, classes), learned, ("counts", "ratios")):
        sharp = memory._replace(**{name: (counts.sum(0) if mask is often else counts[0] > 0)})
        sharp = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), sharp, start)
        found, _ = asked(built, batch, sharp, rule="weighted", ratio=0.2, **mask)
        assert not found.is_masked[batch["is_special"]].any()
        for row, hidden in enumerate(found.is_masked):
            each = (counts.sum(0) if mask is often else 0.0 - (counts[0] > 0))[batch["tokens"][row]]
            assert each[hidden].max() <= each[counted[row] & ~hidden].min()


def test_spans_count_as_their_papers_and_t5s_do_not_touch(folder):
    built = build(folder, layout="padded")
    for rule, count in (("spans", text.spanbert_num_masked), ("t5_spans", text.t5_num_masked)):
        found, batch = asked(built, rule=rule, ratio=0.25, split=(0.5, 0.5, 0.0))
        lengths = (~batch["is_special"]).sum(1)
        expected = count(jnp.asarray(lengths), 0.25, max_length=LENGTH)
        np.testing.assert_array_equal(found.is_masked.sum(1), expected)
        for row, hidden in enumerate(found.is_masked):
            runs = np.flatnonzero(np.diff([0, *hidden.astype(int), 0])).reshape(-1, 2)
            if rule == "t5_spans":
                assert len(runs) == max(1, round(int(expected[row]) / 3))
            else:  # one draw a span
                mask = built.processor.tokenizer.specials.mask
                same = [np.unique(found.ids[row, a:b] == mask).size for a, b in runs]
                assert max(same, default=1) == 1


def test_ratios_move_with_the_steps(folder):
    built = build(folder)
    for step, ratio in ((0, 0.3), (5, 0.225), (10, 0.15)):
        found, batch = asked(built, step=step, schedule="linear", ratio=0.3, final_ratio=0.15)
        lengths = (~batch["is_special"]).sum(1)
        assert (abs(found.is_masked.sum(1) - lengths * ratio) <= 0.51).all()


def test_noise_of_ones_own_is_cut_at_the_count_with_every_rule(folder):
    built = build(folder)
    batch = next(built.train_batches())
    noise = np.random.default_rng(0).random(batch["tokens"].shape).astype(np.float32)
    found, _ = asked(built, batch | {"mask_noise": noise}, rule="whole_word", ratio=0.25)
    free = np.where(batch["is_special"], -1, noise)
    for row, hidden in enumerate(found.is_masked):
        count = round(0.25 * (free[row] >= 0).sum())
        assert set(np.flatnonzero(hidden)) == set(np.argsort(-free[row])[:count])


def test_rows_of_a_bucket_have_the_masks_of_whole_rows(folder):
    batch = next(build(folder, layout="padded").train_batches())
    size = int((batch["segment_ids"] > 0).sum(1).max())
    short = {name: x[:, :size] if x.ndim == 2 else x for name, x in batch.items()}
    built = build(folder, layout="padded")
    found, _ = asked(built, short, ratio=0.4)
    counts = (~batch["is_special"]).sum(1)
    assert found.ids.shape == (8, size)
    assert found.is_masked.sum(1).tolist() == [max(1, round(0.4 * n)) for n in counts]
    assert not found.is_masked[short["is_special"]].any()


@pytest.mark.parametrize("follows", ["losses", "accuracies", "labels"])
def test_places_that_masks_follow_are_the_same_in_rows_of_a_bucket(folder, follows):
    built = build(folder, layout="padded")
    batch = next(built.train_batches()) | {"label": np.arange(8, dtype=np.int32) % 2}
    size = int((batch["segment_ids"] > 0).sum(1).max())
    short = {name: x[:, :size] if x.ndim == 2 else x for name, x in batch.items()}
    mask = {"rule": "weighted", "follows": follows, "entries": "positions", "ratio": 0.4}
    own = {"accuracies.every_steps": 1} if follows == "accuracies" else {}
    masker = masks_of(built, **mask, **own).masker
    start = masker.start()
    found = []
    for rows in (batch, short):
        counted, tokens = jnp.asarray(~rows["is_special"]), jnp.asarray(rows["tokens"])
        losses, hidden = tokens.astype(jnp.float32), counted & (tokens % 2 == 0)
        given = (losses, hidden, counted, rows, tokens, tokens % 4 == 0)
        found.append(masker.remember(start, masker.statistics(*given)))
    assert size < LENGTH
    jax.tree.map(np.testing.assert_array_equal, *found)
    hidden, _ = asked(built, short, found[1], **mask, **own)
    assert hidden.is_masked.shape == (8, size)
    assert not hidden.is_masked[short["is_special"]].any()


def test_the_index_and_tokenizer_of_a_source_are_made_once(folder, monkeypatch):
    first = build(folder)
    monkeypatch.setattr(training, "train", types.SimpleNamespace())  # which cannot be called
    assert build(folder).processor == first.processor
