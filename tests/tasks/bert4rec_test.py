"""BERT4Rec's objective and its test, against sums over items by hand."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from maskjax.config import masks
from maskjax.evaluation.metrics import numbers
from maskjax.tasks import bert4rec
from maskjax.tasks.task import Context

L, V = 5, 6
# Padded in front; one item; nothing at all; full; twice the same.
ITEMS = jnp.array([[0, 0, 3, 6, 1], [0, 0, 0, 0, 4], [0] * 5, [2, 5, 4, 6, 3], [0, 0, 0, 2, 2]])
LENGTHS = (3, 1, 0, 5, 2)
BIAS = jnp.array([0.5, -1.0, 2.0, 0.25, 1.0, -0.5])


def make_task(ratio=0.2, last_share=0.0, exclude_seen=True, mask=None, gate=None, **model):
    options = {"width": 8, "depth": 1, "heads": 2, "dropout": 0.5, "dtype": "float32"}
    config = ConfigDict(
        {
            "model": {**options, "attention": "xla", "remat": False, **model},
            "mask": masks(**{"ratio": ratio, "fill": "token", **(mask or {})}),
            "eval": {"exclude_seen": exclude_seen},
            "data": {"missing": ""},
            "total_steps": 10,
            "seed": 0,
        }
    )
    config.mask.last_share = last_share
    processor = types.SimpleNamespace(length=L, num_items=V, gate=gate)
    return bert4rec.build(config, types.SimpleNamespace(processor=processor))


@pytest.fixture(scope="module")
def params():
    return jax.jit(make_task().init)(jax.random.key(0))


@pytest.fixture(scope="module")
def biased(params):
    """All zero but the bias, which then are the logits of every position."""
    return jax.tree.map(jnp.zeros_like, params) | {"bias": BIAS}


def loss(task, params, batch, train=True):
    context = Context(jax.random.split(jax.random.key(0), len(batch["items"])), train=train)
    return jax.jit(task.loss)(params, batch, context)


def error_of(item):
    """Cross-entropy of an item, counted from 1, where the bias is all."""
    return float(np.log(np.exp(np.asarray(BIAS, np.float64)).sum()) - BIAS[item - 1])


def test_every_hidden_item_is_in_the_loss(biased):
    sums = loss(make_task(ratio=0.99), biased, {"items": ITEMS})  # 0.99 rounds to all of them
    hidden = [int(item) for item in ITEMS.ravel() if item]
    assert sums.weight == len(hidden) == sum(LENGTHS)
    np.testing.assert_allclose(sums.loss, sum(map(error_of, hidden)), rtol=1e-6)
    assert numbers(sums.metrics)["mask_ratio"] == 1
    np.testing.assert_allclose(numbers(sums.metrics)["accuracy"], 2 / 11)  # item 3 scores most


def test_a_share_of_each_history_is_hidden_and_at_least_one_item(params):
    for ratio in (0.2, 0.5):
        sums = loss(make_task(ratio), params, {"items": ITEMS})
        assert sums.weight == sum(max(1, round(n * ratio)) for n in LENGTHS if n)


def test_last_item_examples_hide_the_last_item_alone(biased):
    sums = loss(make_task(last_share=1.0), biased, {"items": ITEMS})
    assert sums.weight == 4
    np.testing.assert_allclose(sums.loss, sum(map(error_of, [1, 4, 3, 2])), rtol=1e-6)


def test_rows_that_fill_a_batch_weigh_nothing(biased):
    batch = {"items": ITEMS, "is_valid": jnp.array([True, False, False, False, False])}
    for extra in ({}, {"target": jnp.array([3, 1, 1, 1, 1]), "seen": ITEMS}):
        one = {"items": ITEMS[:1]} | {name: x[:1] for name, x in extra.items()}
        whole, part = (loss(make_task(0.99), biased, x) for x in (batch | extra, one))
        for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(part)):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_hiding_the_last_item_asks_what_the_test_asks(params):
    """The history without its last item, then asked for the next, is the same question."""
    task, items = make_task(last_share=1.0), ITEMS[jnp.array([0, 3, 4])]
    last = loss(task, params, {"items": items}, train=False)
    before = jnp.pad(items[:, :-1], ((0, 0), (1, 0)))
    test = {"items": before, "target": items[:, -1], "seen": before}
    np.testing.assert_allclose(loss(task, params, test, train=False).loss, last.loss, rtol=1e-5)
    # A longer history loses its oldest item, which had no place in the training example either.
    test = {"items": jnp.concatenate([jnp.array([[0], [1], [0]]), items[:, :-1]], axis=1)}
    test |= {"target": items[:, -1], "seen": before}
    np.testing.assert_allclose(loss(task, params, test, train=False).loss, last.loss, rtol=1e-5)
    assert loss(task, params, {"items": items}).loss != last.loss  # dropout


# The bias sorts the items 3 5 1 4 6 2.
@pytest.mark.parametrize(
    ("target", "seen", "exclude", "rank"),
    [
        (4, (3, 1, 1), False, 4),
        (4, (3, 1, 1), True, 2),
        (4, (3, 4, 1), True, 2),  # a target that was there before is to be found all the same
        (3, (5, 1, 0), True, 1),
        (2, (1, 4, 6), True, 3),
    ],
)
def test_targets_are_ranked_among_all_items_or_the_unseen(biased, target, seen, exclude, rank):
    items = jnp.array([[0, 0, *sorted(seen)]])
    batch = {"items": items, "target": jnp.array([target]), "seen": jnp.array([seen])}
    sums = loss(make_task(exclude_seen=exclude), biased, batch, train=False)
    found = numbers(sums.metrics)
    assert found["mrr"] == pytest.approx(1 / rank)
    assert found["hr@5"] == (rank <= 5)
    assert found["ndcg@10"] == pytest.approx(1 / np.log2(1 + rank))
    np.testing.assert_allclose(sums.loss, error_of(target), rtol=1e-6)


def test_next_items_are_chances_without_what_was_seen(biased):
    task = make_task()
    context = Context(jax.random.split(jax.random.key(0), 1), train=False)
    chances = task.outputs()["next_item_chances"](biased, {"items": ITEMS[:1]}, context)[0]
    weights = np.exp(np.asarray(BIAS)) * [0, 1, 0, 1, 1, 0]
    np.testing.assert_allclose(chances, weights / weights.sum(), rtol=1e-5)
    panel = task.show(biased, {"items": ITEMS[:1]}, context)["next_items"]
    assert panel.seen[0].tolist() == [-1, 3, 6, 1, -1]
    assert panel.is_hidden[0].tolist() == [False] * 4 + [True]
    assert panel.is_valid[0].tolist() == [False] + [True] * 4
    assert panel.guesses[0, -1, :3].tolist() == [5, 4, 2]
    everything = {"items": ITEMS[:1], "seen": jnp.arange(1, 7)[None]}
    chances = task.outputs()["next_item_chances"](biased, everything, context)[0]
    assert chances.tolist() == [0.0] * 6
    assert task.show(biased, everything, context)["next_items"].probabilities.max() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratio": 0.0}, "mask.ratio 0.0 must lie"),
        ({"ratio": 1.0}, "mask.ratio 1.0 must lie"),
        ({"mask": {"rule": "none"}}, "mask.rule 'none' leaves nothing to predict"),
        ({"mask": {"rule": "block"}}, "mask.rule 'block'"),
        ({"mask": {"schedule": "linear"}}, "mask.schedule 'linear'"),
        ({"mask": {"fill": "drop"}}, "mask.fill 'drop'"),
        ({"last_share": 1.5}, "mask.last_share 1.5"),
        ({"dropout": 1.0}, "model.dropout 1.0"),
        ({"heads": 3}, "model.width 8 is not a multiple of model.heads 3"),
        ({"dtype": "float12"}, "model.dtype 'float12'"),
        ({"attention": "flash"}, "model.attention 'flash'"),
    ],
)
def test_what_does_not_fit_names_its_key(change, message):
    with pytest.raises(ValueError, match=message):
        make_task(**change)


def test_masks_that_follow_losses_remember_those_of_hidden_items(biased):
    """Running losses by id: each hidden item's own cross-entropy, the others untouched."""
    task = make_task(ratio=0.99, mask={"rule": "weighted", "losses.decay": 0.5})
    memory, batch = task.start(), {"items": ITEMS[3:4]}
    context = Context(jax.random.split(jax.random.key(0), 1), memory=memory)
    sums = jax.jit(task.loss)(biased, batch, context)
    after = task.remember(memory, sums.statistics, jnp.int32(0))
    (before_losses, *_), (losses, *_) = (jax.tree.leaves(m) for m in (memory, after))
    changed = np.flatnonzero(np.asarray(before_losses) != np.asarray(losses)) + 1
    assert changed.tolist() == [2, 3, 4, 5, 6]  # item 1 was not there
    order = np.argsort([error_of(item) for item in changed])
    assert np.argsort(np.asarray(losses)[changed - 1]).tolist() == order.tolist()


def test_a_gate_decides_how_much_of_an_item_is_seen(params):
    gate = np.array([0.5, 0, 1, 1, 0, 1], np.float32)  # nothing of items 2 and 5
    items = jnp.array([[0, 1, 2, 3, 2], [0, 1, 5, 3, 5], [0, 1, 2, 3, 4]])
    chances = {}
    for name, m in (("gate", gate), ("none", None)):
        task = make_task(exclude_seen=False, gate=m)
        output = jax.jit(task.outputs()["next_item_chances"])
        chances[name] = np.asarray(output(params, {"items": items}, None))
    np.testing.assert_array_equal(chances["gate"][0], chances["gate"][1])
    assert abs(chances["gate"][0] - chances["gate"][2]).max() > 1e-6
    assert abs(chances["none"][0] - chances["none"][1]).max() > 1e-6
    halved = {**params, "encoder": {**params["encoder"]}}
    table = halved["encoder"]["table"]
    halved["encoder"]["table"] = table.at[:V].multiply(gate[:, None])  # the mask is as it was
    ids, is_valid = items[:1] - 1, items[:1] > 0
    given = ids, is_valid.astype(jnp.int32)
    encode = jax.jit(
        lambda params, m: task.model.apply({"params": params}, *given, gate=m, method="encode")
    )
    by_table = encode(halved, jnp.ones((1, L)))
    by_gate = encode(params, jnp.asarray(gate)[ids])
    np.testing.assert_allclose(by_table[is_valid], by_gate[is_valid], rtol=1e-5, atol=1e-6)
