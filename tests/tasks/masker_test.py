"""Masks that follow something: exact counts, states against loops, refusals."""

import math
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking
from maskjax.tasks import masker as maskers
from maskjax.tasks.followers import Labels, Losses, Seen
from maskjax.tasks.task import Context

GRID, LENGTH = (4, 4), 16


@pytest.fixture(scope="module")
def make(load_config):
    """`make(**overrides)`: the masker of a config, for 4 x 4 patches."""

    def make(modality="image", grid=GRID, num_ids=0, num_examples=10, **overrides):
        config = load_config("mae", **overrides)
        data = types.SimpleNamespace(num_train=num_examples, num_classes=4)
        return maskers.make_masker(config, grid, data, modality=modality, num_ids=num_ids)

    return make


def keys_of(size, step=0):
    return masking.example_keys(jax.random.key(0), step, jnp.arange(size))


def learned(masker, hard=(5, 9), rows=64):
    """A memory after one batch in which all was hidden and some positions were 20 times as hard."""
    losses = jnp.ones((rows, LENGTH)).at[:, jnp.array(hard)].set(20.0)
    everywhere = jnp.ones((rows, LENGTH), bool)
    statistics = masker.statistics(losses, everywhere, everywhere, {})
    return masker.remember(masker.start(), statistics)


RULES = ["weighted", "hard_patches", "error_window"]


@pytest.mark.parametrize("rule", RULES)
def test_what_is_hard_is_hidden_more_often_and_the_count_stays_exact(make, rule):
    masker = make(**{"mask.rule": rule, "mask.ratio": 0.5, "mask.error_window.temperature": 0.1})
    memory, rows = learned(masker), 400  # two neighbours in a column
    last = Context(keys_of(rows), jnp.int32(masker.total_steps - 1), memory=memory)
    is_masked = np.asarray(jax.jit(masker.draw)(last, {})[0].is_masked)
    assert (is_masked.sum(1) == 8).all()
    shares = is_masked.mean(0)
    others = np.delete(shares, [5, 9])
    assert shares[[5, 9]].min() > 0.9 > np.median(others) + 0.2


@pytest.mark.parametrize("rule", RULES)
def test_without_a_memory_and_in_evaluation_all_positions_are_hidden_alike(make, rule):
    masker = make(**{"mask.rule": rule, "mask.ratio": 0.5})
    rows = 2000
    begun = Context(keys_of(rows), memory=masker.start())
    judged = Context(keys_of(rows), memory=learned(masker), train=False)
    draw = jax.jit(masker.draw)
    begun, judged = (draw(each, {})[0].is_masked for each in (begun, judged))
    np.testing.assert_array_equal(begun, judged)
    assert (abs(np.asarray(begun).mean(0) - 0.5) < 5 * 0.5 / np.sqrt(rows)).all()


def test_running_losses_are_those_of_a_loop_over_hidden_valid_positions(make):
    masker = make(**{"mask.rule": "weighted", "mask.losses.decay": 0.75})
    assert isinstance(masker.follower, Losses)
    rng = np.random.default_rng(0)
    memory, expected = masker.start(), np.full(LENGTH, np.nan)
    for _ in range(3):
        losses = rng.random((6, LENGTH)).astype(np.float32)
        is_masked, is_counted = rng.random((2, 6, LENGTH)) < 0.5
        given = map(jnp.asarray, (losses, is_masked, is_counted))
        memory = masker.remember(memory, masker.statistics(*given, {}))
        for i in range(LENGTH):
            seen = [losses[b, i] for b in range(6) if is_masked[b, i] and is_counted[b, i]]
            if seen:
                is_first = np.isnan(expected[i])
                mean = np.mean(seen)
                expected[i] = mean if is_first else 0.75 * expected[i] + 0.25 * mean
    np.testing.assert_allclose(memory.losses, np.nan_to_num(expected), rtol=1e-5)


def test_hard_patches_are_more_of_the_hidden_ones_with_time(make):
    """Wang et al. 2023: the share grows to max_share in equal steps; of 8, 1 and then 6."""
    masker = make(**{"mask.rule": "hard_patches", "mask.ratio": 0.5, "total_steps": 8,
                     "mask.hard_patches.max_share": 0.75})  # fmt: skip
    memory = learned(masker, hard=range(8))
    for step, least in ((1, 1), (7, 6)):
        context = Context(keys_of(300, step), jnp.int32(step), memory=memory)
        hidden = np.asarray(jax.jit(masker.draw)(context, {})[0].is_masked)[:, :8].sum(1)
        assert hidden.min() >= least
        # The others are drawn from what is left.
        expected = least + (8 - least) * (8 - least) / (16 - least)
        assert abs(hidden.mean() - expected) < 0.25


def test_m_follows_the_labels_and_is_the_chance_or_the_gate(make):
    options = {"mask.follows": "labels", "mask.labels.positive": (2, 3), "mask.labels.alpha": 5.0}
    masker = make(**{"mask.rule": "weighted"}, **options)
    assert isinstance(masker.follower, Labels)
    memory = masker.start()
    batch = {"label": jnp.array([2, 0, 3, 3, 1])}
    is_counted = jnp.ones((5, LENGTH), bool).at[0, 4].set(False).at[2:4, 4].set(False)
    zeros = jnp.zeros((5, LENGTH))
    new = masker.remember(memory, masker.statistics(zeros, zeros > 0, is_counted, batch))
    # alpha / |D| = 0.5 a token: 3 positive and 2 negative ones; at position 4 the 2 negative alone.
    change = np.where(np.arange(LENGTH) == 4, -1.0, 0.5)
    expected = np.clip(np.asarray(memory.ratios) + change, 0, 1)
    np.testing.assert_allclose(new.ratios, expected, atol=1e-6)
    context = Context(keys_of(5), memory=new)
    np.testing.assert_array_equal(masker.gate(context, 5), np.tile(new.ratios, (5, 1)))
    assert not np.asarray(masker.draw(context, {})[0].is_masked)[:, 4].any()


def test_the_best_of_several_masks_by_a_metric_of_ones_own(make, tmp_path, monkeypatch):
    code = "def first(is_masked, batch):\n    return is_masked[:, 0] * batch['sign']\n"
    (tmp_path / "my_metrics.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    options = {"mask.best_of.candidates": 12, "mask.best_of.metric": "my_metrics.first"}
    masker = make(**{"mask.ratio": 0.5}, **options)
    batch = {"sign": jnp.where(jnp.arange(200) < 100, 1.0, -1.0)}
    is_masked = np.asarray(jax.jit(masker.draw)(Context(keys_of(200)), batch)[0].is_masked)
    assert is_masked[:100, 0].mean() > 0.95 > 0.05 > is_masked[100:, 0].mean()
    assert (is_masked.sum(1) == 8).all()


def test_the_best_of_several_masks_is_that_of_the_largest_running_losses(make):
    masker = make(**{"mask.ratio": 0.25, "mask.best_of.candidates": 16})
    context = Context(keys_of(300), memory=learned(masker, hard=(3,)))
    is_masked = np.asarray(jax.jit(masker.draw)(context, {})[0].is_masked)
    # One of 4 masks has the hard position: all 16 lack it once in 100.
    assert abs(is_masked[:, 3].mean() - (1 - 0.75**16)) < 0.03


def test_what_follows_ids_counts_by_id_and_hides_by_id(make):
    options = {"mask.rule": "weighted", "mask.follows": "frequencies", "mask.ratio": 0.25}
    masker = make("sequence", (8,), num_ids=3, **options)
    ids = jnp.tile(jnp.array([0, 0, 0, 0, 0, 0, 1, 2]), (200, 1))
    is_counted = jnp.arange(8)[None] < jnp.where(jnp.arange(200) < 100, 8, 7)[:, None]
    zeros = jnp.zeros(ids.shape)
    statistics = masker.statistics(zeros, zeros > 0, is_counted, {}, ids)
    np.testing.assert_array_equal(statistics.count, [1200, 200, 100])
    context = Context(keys_of(200), memory=masker.remember(masker.start(), statistics))
    counts = jnp.full(200, 2)
    is_masked = np.asarray(masker.flags(context, {}, counts, is_counted, ids))
    assert (is_masked.sum(1) == 2).all()
    assert not is_masked[100:, 7].any()  # what is no candidate
    # Mikolov et al. 2013, weights of frequency^-0.5, drawn twice without replacement.
    w = 1 / np.sqrt(np.array([1201] * 6 + [201, 101]))
    w = w / w.sum()
    shares = w + [sum(w[j] * w[i] / (1 - w[j]) for j in range(8) if j != i) for i in range(8)]
    assert (abs(is_masked[:100].mean(0) - shares) < 4 * 0.5 / np.sqrt(100)).all()
    assert is_masked[:100, 7].mean() > 1.5 * is_masked[:100, :6].mean()


def test_missing_positions_are_hidden_beside_the_share_of_the_others(make):
    masker = make(**{"mask.ratio": 0.5, "data.missing": "hide"})
    num_missing = [0, 4, 9, 15, 16]
    is_missing = jnp.arange(LENGTH)[None] < jnp.array(num_missing)[:, None]
    (hidden, _, _, restore), is_visible = masker.draw(
        Context(keys_of(5)), {}, is_missing=is_missing
    )
    assert not np.asarray(~hidden & is_missing).any()
    # int(there * 0.5) stay visible, and at least one of what is there.
    assert (~hidden).sum(1).tolist() == [8, 6, 3, 1, 0] == is_visible.sum(1).tolist()
    assert restore.shape == (5, LENGTH)


BAD = [
    ({"mask.follows": "loses"}, r"mask.follows 'loses' \(did you mean 'losses'\?\)"),
    ({"mask.follows": "frequencies"}, "'frequencies': this data has no ids, .*follows=losses"),
    ({"mask.entries": "ids"}, "mask.entries 'ids': this data has no ids, .*entries=positions"),
    ({"mask.entries": "words"}, "unknown mask.entries 'words'"),
    ({"mask.rule": "random", "mask.follows": "loses"}, "unknown mask.follows 'loses'"),
    ({"mask.rule": "random", "mask.entries": "words"}, "unknown mask.entries 'words'"),
    ({"mask.losses.decay": 1.5}, "mask.losses: decay 1.5 must be from 0 to 1"),
    ({"mask.losses.floor": 0.0}, "mask.losses: floor 0.0 must be above 0"),
    ({"mask.losses.floor": math.inf}, "mask.losses: floor inf must be above 0 and finite"),
    ({"mask.weighted.temperature": -1.0}, "mask.weighted .*temperature -1.0 must be finite"),
    ({"mask.follows": "labels", "mask.labels.alpha": -1.0}, "mask.labels: alpha -1.0 must be"),
    ({"mask.follows": "labels", "mask.labels.alpha": math.nan}, "mask.labels: alpha nan must be"),
    ({"mask.follows": "labels", "mask.labels.start": "x"}, "mask.labels: unknown start 'x'"),
    ({"mask.fill": "gate"}, "mask.fill 'gate' needs mask.follows='labels', not 'losses'"),
    ({"mask.copies": -1}, "mask.copies -1 must be at least 0"),
    ({"mask.copies": 5, "mask.rule": "sliding"}, "set mask.sliding.follows to 'key', or mask.co"),
    ({"mask.best_of.candidates": 0}, "mask.best_of.candidates 0 must be at least 1"),
    (
        {"mask.best_of.metric": "nowhere.metric"},  # also where there is one candidate alone
        "mask.best_of.metric 'nowhere.metric' is no function of a module",
    ),
    ({"mask.rule": "hard_patches", "mask.hard_patches.max_share": 2.0}, "max_share 2.0 must be"),
    ({"mask.rule": "error_window", "mask.error_window.axis": 2}, "axis 2 is not one of the 2"),
]


@pytest.mark.parametrize(("overrides", "message"), BAD, ids=[str(bad[0]) for bad in BAD])
def test_what_does_not_fit_is_refused(make, overrides, message):
    with pytest.raises(ValueError, match=message):
        make(**({"mask.rule": "weighted"} | overrides))


@pytest.mark.parametrize("positive", [(4,), (1, -1), (), (1.0,), ("1",)])
def test_a_positive_class_is_one_that_there_is(make, positive):
    options = {"mask.rule": "weighted", "mask.follows": "labels"}
    with pytest.raises(
        ValueError, match=r"mask\.labels: positive .* must hold classes from 0 to 3"
    ):
        make(**options, **{"mask.labels.positive": positive})


def test_labels_are_needed_where_they_are_followed(build):
    options = {"mask.rule": "weighted", "mask.follows": "labels"}
    with pytest.raises(ValueError, match=r"needs data with labels: use mask\.follows=losses"):
        build(**options)
    follower = Labels(4, by_id=False)
    seen = Seen(*(jnp.zeros((2, 4)), jnp.zeros((2, 4), bool), jnp.ones((2, 4), bool)))
    with pytest.raises(ValueError, match="needs data with labels"):
        follower.statistics(seen)


def test_every_token_moves_m_hidden_or_not(build, params_of):
    options = {"mask.rule": "weighted", "mask.follows": "labels", "mask.labels.positive": (1,)}
    labelled = types.SimpleNamespace(shape=(8, 8, 1), num_classes=2, num_train=10)
    task = build(data=labelled, **options)
    batch = {
        "inputs": jnp.ones((3, 8, 8, 1)),
        "label": jnp.array([0, 1, 1]),
        "is_valid": jnp.array([True, True, False]),
    }
    sums = jax.jit(task.loss)(params_of(task), batch, Context(keys_of(3), memory=task.start()))
    assert sums.weight == 2 * 12
    assert sums.statistics.num_positive.tolist() == [1] * 16
    assert sums.statistics.num_negative.tolist() == [1] * 16


def test_a_metric_of_ones_own_may_read_the_batch(build, tmp_path, monkeypatch):
    code = "def brightest(is_masked, batch):\n    return batch['inputs'].sum((1, 2, 3))\n"
    (tmp_path / "reading_metrics.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    metric = {"mask.best_of.candidates": 2, "mask.best_of.metric": "reading_metrics.brightest"}
    task = build(**metric)
    jax.eval_shape(task.init, jax.random.key(0))


def test_a_soft_gate_scales_what_is_seen(build, params_of):
    options = {"mask.fill": "gate", "mask.follows": "labels", "loss.on": "all"}
    labelled = types.SimpleNamespace(shape=(8, 8, 1), num_classes=2, num_train=10)
    task = build(config_name="simmim", data=labelled, **options)
    inputs = jax.random.normal(jax.random.key(7), (2, 8, 8, 1))
    gate = jnp.array([[1.0] * 15 + [0.25], [0.0] * 16])
    context = Context(keys_of(2), memory=task.start())
    batch = {"inputs": inputs, "label": jnp.array([0, 1])}
    seen = jax.jit(task.reconstruct)(params_of(task), batch | {"gate": gate}, context)["seen"]
    expected = np.asarray(inputs).copy()
    expected[0, 6:, 6:] *= 0.25
    expected[1] = 0
    np.testing.assert_array_equal(seen, expected)
    pixels = np.random.default_rng(0).integers(0, 5, (2, 8, 8)).astype(np.float32) / 4
    seen = jax.jit(task.reconstruct)(params_of(task), batch | {"gate": pixels}, context)["seen"]
    np.testing.assert_array_equal(seen, np.asarray(inputs) * pixels[..., None])
    own = jax.jit(task.loss)(params_of(task), batch, context)
    assert np.isfinite(own.loss)
    assert own.statistics.num_positive.tolist() == own.statistics.num_negative.tolist() == [1] * 16
