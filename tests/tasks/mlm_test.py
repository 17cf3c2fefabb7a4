"""Masked language models: what is hidden of real rows, and the loss by hand."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from maskjax import data
from maskjax.config import masks
from maskjax.evaluation.metrics import numbers
from maskjax.evaluation.panels import first_rows, in_words
from maskjax.tasks import mlm
from maskjax.tasks.task import Context
from maskjax.tasks.text_masks import make_text_masks

LENGTH, MASK, LEAST = 32, 4, 5  # of bytes: ids below LEAST are special
TEXT = "one two three\n\nfour, five [SEP] six\n\nseven\n\neight nine ten eleven twelve thirteen"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Packed rows of bytes through the loader."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "texts.txt").write_text(TEXT)
    config = {
        "source": f"text:{folder / 'texts.txt'}", "max_length": LENGTH, "index": str(folder),
        "validation_fraction": 0, "test_fraction": 0,
    }  # fmt: skip
    return data.build(config, seed=0, batch_size=2)


@pytest.fixture(scope="module")
def batch(built):
    (found,) = built.eval_batches("train", 8)
    return {name: jnp.asarray(x) for name, x in found.items()}


def config_of(**mask):
    own = {"copies": 0, "split": (0.8, 0.1, 0.1), "eval_ratio": 0.15}
    own |= {name: mask.pop(name) for name in list(mask) if name in own}
    model = {
        "form": "bert", "size": "tiny", "max_length": 0, "dropout": 0.0, "dtype": "float32",
        "attention": "xla", "remat": False,
    }  # fmt: skip
    section = masks(**{"ratio": 0.3, "fill": "token", **mask})
    section.update(own)
    return ConfigDict(
        {"mask": section, "model": model, "data": {"missing": ""}, "total_steps": 9, "seed": 0}
    )


def asked(built, batch, epoch=0, *, train=True, seed=0, **mask):
    """What is hidden of a batch in an epoch."""
    keys = jax.random.split(jax.random.key(seed), (2, len(batch["id"])))
    batch = batch | {"epoch": jnp.full(len(batch["id"]), epoch, jnp.int32)}
    context = Context(keys[0], jnp.int32(0), keys[1], train=train)
    return make_text_masks(config_of(**mask), built).question(batch, context)


RULES = ("random", "whole_word", "spans")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("train", [True, False])
def test_special_tokens_and_padding_are_never_hidden(built, batch, rule, train):
    special = np.asarray(batch["tokens"]) < LEAST
    for seed in range(3):
        found = asked(built, batch, train=train, seed=seed, rule=rule, ratio=0.9, eval_ratio=0.9)
        is_masked = np.asarray(found.is_masked)
        assert not is_masked[special].any()
        assert is_masked.sum() > 0.5 * (~special).sum()
        np.testing.assert_array_equal(np.asarray(found.ids)[special], batch["tokens"][special])


def test_dynamic_masks_are_fresh_in_each_epoch_and_static_ones_come_again(built, batch):
    def epochs(**mask):
        found = [asked(built, batch, epoch, **mask) for epoch in range(6)]
        return [
            (each.is_masked.tobytes(), each.ids.tobytes()) for each in map(jax.device_get, found)
        ]

    assert len(set(epochs())) == 6
    static = epochs(copies=3)
    assert static[:3] == static[3:]
    assert len(set(static)) == 3
    assert epochs()[:3] == static[:3]  # nothing differs before masks come again


def test_whole_words_are_hidden_whole_and_at_most_the_share(built, batch):
    words = np.asarray(batch["word_ids"])
    found = np.asarray(asked(built, batch, rule="whole_word").is_masked)
    for row, hidden in zip(words, found):
        assert hidden.sum() <= round(0.3 * (row >= 0).sum())
        assert not {*row[hidden].tolist()} & {*row[~hidden].tolist()}
    assert found.any()


def test_random_tokens_are_of_the_whole_vocabulary(built, batch):
    drawn = set()
    for seed in range(30):
        found = asked(built, batch, seed=seed, ratio=0.9, split=(0.0, 1.0, 0.0))
        drawn |= {*np.asarray(found.ids)[np.asarray(found.is_masked)].tolist()}
    assert max(drawn) > int(batch["tokens"].max()) + 50
    assert min(drawn) < LEAST
    assert len(drawn) > 200  # of 261


def test_shares_of_mask_random_and_kept_tokens(built, batch):
    counts = np.zeros(3)
    for seed in range(40):
        found = asked(built, batch, seed=seed, ratio=0.9)
        hidden = np.asarray(found.is_masked)
        ids, was = np.asarray(found.ids)[hidden], np.asarray(batch["tokens"])[hidden]
        counts += [(ids == MASK).sum(), ((ids != MASK) & (ids != was)).sum(), (ids == was).sum()]
    np.testing.assert_allclose(counts / counts.sum(), (0.8, 0.1, 0.1), atol=0.02)


def test_evaluations_hide_the_same_whatever_is_trained(built, batch):
    found = [
        asked(built, batch, epoch, train=False, **mask)
        for epoch, mask in enumerate(({}, {"rule": "spans", "ratio": 0.5}, {"copies": 2}))
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].ids, other.ids)
    hidden = np.asarray(found[0].is_masked)
    assert (np.asarray(found[0].ids)[hidden] == MASK).all()
    lengths = (~np.asarray(batch["is_special"])).sum(1)
    expected = [max(1, round(0.15 * n)) if n else 0 for n in lengths]
    assert hidden.sum(1).tolist() == expected
    assert np.asarray(found[0].is_asked).sum(1).tolist() == expected


@pytest.fixture(scope="module")
def task(built):
    return mlm.build(config_of(), built)


@pytest.fixture(scope="module")
def biased(task):
    """All parameters zero but the bias, which then is the score of every token everywhere."""
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    params = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    bias = np.random.default_rng(0).normal(size=task.vocabulary.size).astype(np.float32)
    return params | {"bias": jnp.asarray(bias)}


def judged(count):
    keys = jax.random.split(jax.random.key(1), (2, count))
    return Context(keys[0], jnp.int32(0), keys[1], train=False)


def test_the_loss_is_of_what_is_hidden(task, biased, batch):
    bias, context = np.asarray(biased["bias"]), judged(len(batch["id"]))
    sums = jax.jit(task.loss)(biased, batch, context)
    hidden = np.asarray(task.masks.question(batch, context).is_masked)
    hidden = hidden & np.asarray(batch["is_valid"])[:, None]
    right = np.asarray(batch["tokens"])[hidden]
    losses = np.log(np.exp(bias.astype(np.float64)).sum()) - bias[right]
    assert sums.weight == hidden.sum() > 0
    np.testing.assert_allclose(sums.loss, losses.sum(), rtol=1e-5)
    found = numbers(sums.metrics)
    np.testing.assert_allclose(found["perplexity"], np.exp(losses.mean()), rtol=1e-5)
    assert found["accuracy"] == pytest.approx((right == bias.argmax()).mean())


def test_holes_of_a_text_are_filled_with_the_likeliest(task, biased, built):
    ((_, example),) = built.processor.read("a[MASK]c")
    panel = task.show(biased, data.batch_of(built.processor, [example]), judged(1))["fill"]
    (line,) = in_words(panel, built.processor)
    assert [line[0], line[2]] == ["a", "c"]  # [CLS], [SEP] and padding are left out
    chances = np.asarray(jax.nn.softmax(biased["bias"].at[:LEAST].set(-jnp.inf)))
    best = np.argsort(-chances)[:5]
    assert line[1].words == built.processor.words(best.tolist())
    np.testing.assert_allclose(line[1].probabilities, chances[best], rtol=1e-5)
    assert line[1].true == ""
    example["tokens"][3] = built.processor.tokenizer.specials.unk  # no word is left out
    panel = task.show(biased, data.batch_of(built.processor, [example]), judged(1))["fill"]
    assert next(in_words(panel, built.processor))[2] == "[UNK]"


def test_texts_without_holes_are_asked_as_in_evaluations_whatever_stands_beside(
    task, biased, built
):
    texts = ["a[MASK]c", "one two three four", "five six seven"]
    examples = [example for text in texts for _, example in built.processor.read(text)]

    def lines(*places):
        rows = [examples[at] for at in places]
        shown = task.show(biased, data.batch_of(built.processor, rows, 4), judged(4))
        panel = first_rows(shown["fill"], len(rows))
        return [*in_words(panel, built.processor)], {*shown}

    beside, names = lines(0, 1, 2)
    alone, own = lines(1, 1, 2)
    assert "generate" in names
    assert "generate" not in own
    guesses = [[word for word in line if not isinstance(word, str)] for line in beside]
    assert [len(each) for each in guesses] == [1, 3, 2]  # 15 % of 18 and of 14
    assert [each.true for each in guesses[0]] == [""]
    assert all(each.true for line in guesses[1:] for each in line)
    assert beside[1:] == alone[1:]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"rule": "none"}, "leaves nothing to predict"),
        ({"fill": "drop"}, "unknown mask.fill 'drop'"),
        ({"eval_ratio": 1.0}, "mask.eval_ratio 1.0 must lie strictly"),
        ({"split": (0.8, 0.1)}, "must be 3 shares that sum to 1"),
        ({"rule": "block"}, "mask.rule 'block' is for .*image.* not for text"),
    ],
)
def test_masks_that_do_not_fit_name_their_key(mask, message):
    names = types.SimpleNamespace(vocab_size=9, specials=data.text.Bytes.specials, special_ids=(0,))
    processor = types.SimpleNamespace(tokenizer=names, max_length=16)
    with pytest.raises(ValueError, match=message):
        make_text_masks(config_of(**mask), types.SimpleNamespace(processor=processor))
