"""Texts with classes and tags: what is hidden of them, and what is asked, through the loader."""

import dataclasses
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import data, tasks
from maskjax.evaluation.panels import first_rows, tagged_words
from maskjax.tasks.task import Context
from maskjax.tasks.text_body import keyword_flags
from maskjax.training import init_from, run
from maskjax.training.update import make_update
from maskjax.workdir import merge
from maskjax.workdir.checkpoint import Checkpoints

LEAST, MASK = 5, 4  # of bytes: ids below LEAST are special
TABLE = "text,label\none two three,good\nfour five,bad\nsix,good\nseven eight nine,bad\n"
TAGGED = "one B-X\ntwo I-X\nsix O\n\nfour O\nfive O\n\nten B-X\n\nnine O\n"
SMALL = {"model.width": 8, "model.depth": 1, "model.heads": 2, "model.dropout": 0.0}


@pytest.fixture(scope="module")
def build_task(load_config, tmp_path_factory):
    """`build_task("text_classify", **overrides)`: a task, a batch of its data, and the data."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "t.csv").write_text(TABLE)
    (folder / "t.conll").write_text(TAGGED)
    sources = {
        "text_classify": f"csv:{folder / 't.csv'}",
        "token_labels": f"conll:{folder / 't.conll'}",
    }

    def build(name, **overrides):
        own = {"data.label_column": "label"} if name == "text_classify" else {}
        own |= {"data.source": sources[name], "data.index": str(folder), "data.limit": 0}
        own |= {"data.validation_fraction": 0.0, "data.test_fraction": 0.0}
        config = load_config(name, "smoke", **(SMALL | own | overrides))
        built = data.build(config.data, seed=0, batch_size=4)
        (batch,) = built.eval_batches("train", 4)
        batch = {key: jnp.asarray(x) for key, x in batch.items()}
        return tasks.build(config, built), batch, built

    return build


def context(train=True, seed=0):
    keys = jax.random.split(jax.random.key(seed), (2, 4))
    return Context(keys[0], jnp.int32(0), keys[1], train=train)


def drawn(task):
    """Parameters that tell texts apart, which those that begin near zero do not."""
    rng, shapes = np.random.default_rng(0), jax.eval_shape(task.init, jax.random.key(0))
    return jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape).astype(np.float32), shapes)


HIDE = {"mask.rule": "random", "mask.ratio": 0.5}


@pytest.mark.parametrize(("fill", "pool"), [("token", "class"), ("drop", "mean")])
def test_what_is_hidden_or_padding_does_not_count(build_task, fill, pool):
    task, batch, _ = build_task("text_classify", **HIDE, **{"mask.fill": fill, "model.pool": pool})
    params, look = drawn(task), jax.jit(task.body)
    seen = look(params, batch, context())
    special = np.asarray(batch["is_special"])
    hidden = np.asarray(seen.is_masked)
    assert not (hidden & special).any()
    lengths = (~special).sum(1)
    assert hidden.sum(1).tolist() == [max(1, round(0.5 * n)) for n in lengths]
    blank = np.asarray(batch["segment_ids"]) == 0
    other = {**batch, "tokens": jnp.where(hidden | blank, 77, batch["tokens"])}
    found = seen.outputs
    assert len({*np.asarray(found)[:, 0].tolist()}) == 4
    np.testing.assert_allclose(look(params, other, context()).outputs, found, atol=1e-5)
    shown = {**batch, "tokens": jnp.where(hidden | special, batch["tokens"], 77)}
    assert (np.abs(look(params, shown, context()).outputs - found).max(1) > 1e-3).all()
    assert not np.array_equal(look(params, batch, context(seed=1)).is_masked, hidden)


def test_masks_are_on_in_evaluation_only_where_they_are_asked_for(build_task):
    for when in ("training", "always"):
        task, batch, _ = build_task("text_classify", **HIDE, **{"mask.when": when})
        shapes = jax.eval_shape(task.init, jax.random.key(0))
        sums = jax.eval_shape(task.loss, shapes, batch, context(train=False))
        assert ("mask_ratio" in sums.metrics) == (when == "always")


def test_the_loss_of_tags_is_the_mean_over_first_pieces(build_task):
    task, batch, built = build_task("token_labels", **{"loss.class_weights": (2.0, 1.0, 0.5)})
    assert task.tag_names == built.processor.tag_names == ("B-X", "I-X", "O")
    labels = np.asarray(batch["token_labels"])
    assert [row[row >= 0].tolist() for row in labels] == [[0, 1, 2], [2, 2], [0], [2]]
    outputs = np.random.default_rng(0).normal(size=(*labels.shape, 3)).astype(np.float32)
    targets = task.targets(batch)
    for is_train, weights in ((True, (2.0, 1.0, 0.5)), (False, (1.0, 1.0, 1.0))):
        losses, counts = task.errors(jnp.asarray(outputs), targets, is_train)
        for row in range(4):
            total = weight = 0.0
            for place in np.flatnonzero(labels[row] >= 0):
                scores = outputs[row, place].astype(np.float64)
                label = labels[row, place]
                total += weights[label] * (np.log(np.exp(scores).sum()) - scores[label])
                weight += weights[label]
            assert counts[row] == pytest.approx(weight)
            assert losses[row] == pytest.approx(total / weight, rel=1e-5)


def test_words_whose_tag_nobody_knows_are_tagged_and_not_asked_for(build_task):
    task, _, built = build_task("token_labels")
    ((_, example),) = built.processor.read("one twelve")
    assert (example["token_labels"] >= 0).sum() == 2
    assert np.flatnonzero(example["token_labels"] == 3).tolist() == [1, 5]  # behind [CLS], "one "
    batch = data.batch_of(built.processor, [example])
    assert task.targets(batch).sum() == 0


def test_no_word_is_left_out_where_the_vocabulary_lacks_it(build_task, tmp_path):
    (tmp_path / "vocab.txt").write_text("[UNK]\n[CLS]\n[SEP]\n[MASK]\n[PAD]\none\ntwo\n##s\n")
    task, _, built = build_task("token_labels", **{"data.tokenizer": str(tmp_path / "vocab.txt")})
    ((_, example),) = built.processor.read("one zebra twos [MASK] two")
    batch = data.batch_of(built.processor, [example], 4)
    panel = first_rows(task.show(drawn(task), batch, context(train=False))["labelled"], 1)
    (line,) = tagged_words(panel, built.processor)
    assert [word.word for word in line] == ["one", "[UNK]", "twos", "[MASK]", "two"]


def test_keywords_are_found_as_whole_words():
    words = [[3, 4], [3], [7], [3, 4], [4, 7]]
    tokens = np.array([[2, *(i for word in words for i in word), 0]], np.int32)
    numbers = [at for at, word in enumerate(words) for _ in word]
    ids = np.array([[-1, *numbers, -1]], np.int32)
    for keywords in ([(3, 4)], [(3,)], [(4, 7), (7,)], [(7, 3)]):
        found = keyword_flags(jnp.asarray(tokens), jnp.asarray(ids), keywords)[0]
        expected = [tuple(word) in keywords for word in words for _ in word]
        assert found.tolist() == [False, *expected, False]


def test_a_keyword_is_seen_half_as_much_as_its_text(build_task):
    task, batch, built = build_task(
        "text_classify", **{"model.form": "bag", "model.keywords": ("two",)}
    )
    gate = np.asarray(jax.jit(task.body._gate)(batch, context(train=False)))
    text = built.processor.tokenizer.decode(np.asarray(batch["tokens"])[0].tolist())
    at = text.encode().index(b"two") - len("[CLS]") + 1
    assert 0 < gate[0, 0] < 1
    expected = np.full(gate.shape[1], gate[0, 0])
    expected[at : at + 3] /= 2
    np.testing.assert_allclose(gate[0], expected, rtol=1e-6)
    assert len(np.unique(gate[1:])) == 3  # a share of its own for each text
    params = jax.eval_shape(task.init, jax.random.key(0))
    assert {name: x.shape for name, x in params["encoder"].items()} == {"table": (261, 8)}


@pytest.mark.parametrize("entries", ["ids", "positions"])
def test_a_soft_gate_is_as_long_as_the_rows_of_a_bucket(build_task, entries):
    gated = {"mask.fill": "gate", "mask.follows": "labels", "mask.entries": entries}
    task, batch, _ = build_task("text_classify", **gated)
    size = int((batch["segment_ids"] > 0).sum(1).max())
    short = {name: x[:, :size] if x.ndim == 2 else x for name, x in batch.items()}
    seen = dataclasses.replace(context(), memory=task.start())
    whole, cut = (jax.jit(task.body._gate)(rows, seen) for rows in (batch, short))
    np.testing.assert_array_equal(whole[:, :size], cut)
    sums = task.loss(drawn(task), short, seen)
    after = task.remember(task.start(), sums.statistics, jnp.int32(0))
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, task.start())


def test_a_bag_of_words_stands_beside(build_task):
    task, _, built = build_task("text_classify")
    found = task.baselines(types.SimpleNamespace(source=lambda _: built.source("train")), "test")
    learned = {"bag_of_words_accuracy": 1.0, "bag_of_words_f1_macro": 1.0}
    assert found == learned | {"largest_class_accuracy": 0.5}


def test_an_encoder_comes_from_a_language_model_and_its_head_stays_there(build_task, load_config):
    task, _, built = build_task("text_classify", **{"init_from.path": "a run"})
    config = load_config("mlm", "smoke", **(SMALL | {"model.form": "bert"}))
    model = tasks.build(config, built)
    shapes = (jax.eval_shape(each.init, jax.random.key(0)) for each in (task, model))
    ours, theirs = (
        jax.tree.map(lambda x, value=value: np.full(x.shape, value, np.float32), tree)
        for value, tree in enumerate(shapes)
    )
    options = load_config("text_classify", "smoke").init_from
    found, strays = merge.taken(ours, theirs, options, Path("there"), task)
    assert all((leaf == 1).all() for leaf in jax.tree.leaves(found["encoder"]))
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(found["head"]))
    parts = {how: {path.split("/")[0] for path in paths} for how, paths in strays.items()}
    assert parts == {"begins anew": {"head"}, "left out": {"dense", "norm", "bias"}}


def test_modernberts_head_begins_with_the_layer_of_its_language_model(
    build_task, load_config, tmp_path
):
    own = SMALL | {"model.form": "modernbert", "init_from.path": str(tmp_path)}
    task, _, built = build_task("text_classify", **own)
    config = load_config("text_classify", "smoke", **own)

    def filled(task, value):
        shapes = jax.eval_shape(lambda: run.initial_state(task, config))
        return jax.tree.map(lambda x: jnp.full(x.shape, value, x.dtype), shapes)

    model = tasks.build(load_config("mlm", "smoke", **own), built)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        checkpoints.save(1, filled(model, 1))
        checkpoints.wait()
    found, record, line = init_from.start(filled(task, 0), config, lambda *_: 0.0, task)
    head = found.params["head"]
    assert (head["dense"]["kernel"] == 1).all()
    assert (head["norm"]["scale"] == 1).all()
    assert (head["kernel"] == 0).all()
    assert record["begins anew"] == ["head/bias", "head/kernel"]
    assert record["left out"] == ["bias"]
    assert "the head begins with the layer that its own has" in line


def test_rates_fall_by_layer_and_adapters_find_the_kernels(build_task, load_config):
    changes = {
        "model.lora_rank": 2,
        "optimizer.layer_decay": 0.5,
        "optimizer.frozen": ("^encoder/",),
    }
    task, _, _ = build_task("text_classify", **changes)
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    assert {*shapes["lora"]["encoder"]["blocks"]["block00"]["attn"]} == {"query", "value"}
    update = make_update(load_config("text_classify", "smoke", **(SMALL | changes)), shapes)
    factors = {path.split("/")[1]: x for path, x in update.rate_factors.items()}
    assert (factors["table"], factors["positions"], factors["blocks"]) == (0.25, 0.25, 0.5)
    assert update.rate_factors["head/kernel"] == 1
    assert "encoder/table" in update.frozen
    assert "head/kernel" not in update.frozen


def test_pairs_are_read_by_their_types(build_task, tmp_path):
    (tmp_path / "pairs.csv").write_text("text,other,label\n" + "one,two,x\nsix,ten,y\n" * 2)
    pairs = {"data.source": f"csv:{tmp_path / 'pairs.csv'}", "data.pair_column": "other"}
    task, batch, _ = build_task("text_classify", **pairs)
    types, logits = batch["token_types"], jax.jit(task.outputs()["logits"])
    assert types[0, :9].tolist() == [0] * 5 + [1] * 4  # [CLS]one[SEP], two[SEP]
    params, given = drawn(task), context(train=False)
    other = {**batch, "token_types": 0 * types}
    assert np.abs(logits(params, batch, given) - logits(params, other, given)).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("text_classify", {"mask.fill": "noise"}, "unknown mask.fill 'noise'"),
        ("text_classify", {"model.pool": "each"}, "unknown model.pool 'each'"),
        ("text_classify", {"model.form": "lstm"}, "unknown model.form 'lstm'"),
        ("text_classify", {"model.num_ids": 9}, "model.num_ids 9 is below the 261 ids"),
        ("text_classify", {"model.heads": 3}, "model.width 8 is not a multiple of its 3 heads"),
        ("text_classify", {"model.max_length": 9}, "model.max_length 9 is below data.max_length"),
        ("text_classify", {"model.window": 9}, "model.window 9 is for the form 'modernbert'"),
        (
            "text_classify",
            {"model.form": "modernbert", "model.window": 1},
            "model.window 1 must be at least 2",
        ),
        ("text_classify", {"task": "token_labels"}, "'token_labels' on data with no tags"),
        ("token_labels", {"task": "classify"}, "task 'classify' on data with no labels"),
        ("token_labels", {"loss.class_weights": (1.0,)}, "holds 1 numbers for 3 classes"),
    ],
)
def test_options_that_do_not_fit_name_their_key(build_task, name, overrides, message):
    with pytest.raises(ValueError, match=message):
        build_task(name, **overrides)


def test_classes_are_of_whole_texts(build_task, load_config):
    _, _, built = build_task("text_classify")
    processor = types.SimpleNamespace(
        tokenizer=built.processor.tokenizer, max_length=32, layout="packed", has_pairs=False
    )
    packed = types.SimpleNamespace(processor=processor, num_classes=2)
    with pytest.raises(ValueError, match=r"data.layout 'packed' cuts texts .* set it to 'whole'"):
        tasks.build(load_config("text_classify", "smoke"), packed)
