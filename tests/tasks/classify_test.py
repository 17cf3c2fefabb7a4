"""Classification: targets, weights, what is loaded, frozen and mixed, and what is refused."""

import ast
import json
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import r2_score
from sklearn.utils.class_weight import compute_class_weight

from maskjax import tasks
from maskjax.masking.parameters import leaf_paths
from maskjax.models.patches import sincos_positions
from maskjax.tasks.task import Context
from maskjax.training import init_from, parallel, run
from maskjax.training.update import make_update
from maskjax.workdir.checkpoint import Checkpoints

ENCODER = {"model.encoder": {"width": 8, "depth": 1, "heads": 2}}
PLAIN = {"mix.probability": 0.0, "loss.smoothing": 0.0, "model.drop_path": 0.0}
HEAD = {"head/bias", "head/kernel", "head/norm/bias", "head/norm/scale"}
SHAPE, CLASSES, SIZE = (8, 8, 1), 3, 8


@pytest.fixture(scope="module")
def make(load_config):
    """`make(**overrides)`: a small task and its config."""

    def make(data=None, **overrides):
        config = load_config("finetune", "smoke", **({"batch_size": SIZE} | ENCODER | overrides))
        data = data or types.SimpleNamespace(shape=SHAPE, num_classes=CLASSES)
        return tasks.build(config, data), config

    return make


def batch_of(seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(SIZE, *SHAPE)).astype(np.float32)
    labels = rng.integers(0, CLASSES, SIZE).astype(np.int32)
    return {"inputs": inputs, "label": labels, "is_valid": np.ones(SIZE, bool)}


def with_head(params, scale=0.5):
    """Parameters whose head tells inputs apart, which one that begins near zero does not."""
    kernel = scale * jax.random.normal(jax.random.key(5), params["head"]["kernel"].shape)
    return {**params, "head": {**params["head"], "kernel": kernel}}


def context(train=True, seed=0):
    return Context(jax.random.split(jax.random.key(seed), SIZE), jnp.int32(0), train=train)


def test_the_head_begins_near_zero_and_reads_the_mean_of_unnormalised_patches(make):
    task, _ = make()
    params = jax.jit(task.init)(jax.random.key(0))
    assert set(params) == {"encoder", "head"}
    assert "norm" not in params["encoder"]["transformer"]
    assert set(params["head"]) == {"norm", "kernel", "bias"}
    assert 1e-5 < np.std(params["head"]["kernel"]) < 3e-5
    assert np.abs(params["head"]["kernel"]).max() <= 2 * 2e-5 * 1.14  # cut at two deviations
    batch = batch_of()
    features, outputs = (
        task.outputs()[name](with_head(params), batch, context()) for name in ("features", "logits")
    )
    np.testing.assert_allclose(np.mean(features, 1), 0, atol=1e-5)  # a LayerNorm's
    np.testing.assert_allclose(np.std(features, 1), 1, rtol=1e-3)
    np.testing.assert_allclose(
        outputs, features @ with_head(params)["head"]["kernel"], rtol=1e-4, atol=1e-5
    )
    chances = task.outputs()["classes"](params, batch, context())
    np.testing.assert_allclose(np.sum(chances, 1), 1, rtol=1e-5)
    by_class, _ = make(**{"model.pool": "class"})
    other = jax.eval_shape(by_class.init, jax.random.key(0))
    assert "norm" in other["encoder"]["transformer"]
    assert set(other["head"]) == {"kernel", "bias"}


def _slow_loss(logits, labels, smoothing, weights):
    """Szegedy et al. 2016, section 7, and the weighted mean of PyTorch's CrossEntropyLoss."""
    total, weight = 0.0, 0.0
    for row, label in zip(np.asarray(logits, np.float64), labels, strict=True):
        surprise = np.log(np.exp(row).sum()) - row
        for c in range(CLASSES):
            share = (1 - smoothing) * (c == label) + smoothing / CLASSES
            total += weights[c] * share * surprise[c]
            weight += weights[c] * share
    return total, weight


def test_loss_is_the_weighted_smoothed_cross_entropy_and_in_evaluation_the_plain_one(make):
    weights = (1.0, 0.25, 3.0)
    task, _ = make(**(PLAIN | {"loss.smoothing": 0.2, "loss.class_weights": weights}))
    params, batch = with_head(jax.jit(task.init)(jax.random.key(0))), batch_of()
    logits = task.outputs()["logits"](params, batch, context())
    sums = jax.jit(task.loss)(params, batch, context())
    expected = _slow_loss(logits, batch["label"], 0.2, weights)
    np.testing.assert_allclose((sums.loss, sums.weight), expected, rtol=1e-5)
    is_right = np.argmax(logits, 1) == batch["label"]
    assert sums.metrics["batch_accuracy"].numbers("x") == {"x": pytest.approx(is_right.mean())}
    judged = task.loss(params, batch, context(train=False))
    plain = _slow_loss(logits, batch["label"], 0.0, (1.0, 1.0, 1.0))
    np.testing.assert_allclose((judged.loss, judged.weight), plain, rtol=1e-5)


HIDE = PLAIN | {"mask.rule": "random", "mask.ratio": 0.5}


@pytest.mark.parametrize("fill", ["drop", "token", "noise", "zero"])
def test_hidden_patches_do_not_count_in_training_and_are_there_in_evaluation(make, fill):
    task, _ = make(**(HIDE | {"mask.fill": fill}))
    params = with_head(jax.jit(task.init)(jax.random.key(0)))
    assert ("mask_token" in params["encoder"]) == (fill == "token")
    batch, loss = batch_of(), jax.jit(task.loss)
    hidden, _ = task.masker.draw(context(), batch)
    pixels = np.asarray(hidden.is_masked).reshape(SIZE, 4, 4, 1).repeat(2, 1).repeat(2, 2)
    other = {**batch, "inputs": np.where(pixels, batch_of(1)["inputs"], batch["inputs"])}
    sums, judged = loss(params, batch, context()), loss(params, batch, context(train=False))
    assert sums.metrics["mask_ratio"].numbers("x") == {"x": 0.5}
    assert loss(params, other, context()).loss == sums.loss
    assert "mask_ratio" not in judged.metrics
    assert loss(params, other, context(train=False)).loss != judged.loss
    if fill == "zero":
        zeroed = {**batch, "inputs": np.where(pixels, 0, batch["inputs"])}
        np.testing.assert_allclose(
            loss(params, zeroed, context(train=False)).loss, sums.loss, rtol=1e-5
        )


def test_masks_may_be_on_in_evaluation_too_and_a_gate_comes_from_the_batch(make):
    task, _ = make(**(HIDE | {"mask.when": "always", "mask.fill": "zero"}))
    params = with_head(jax.jit(task.init)(jax.random.key(0)))
    batch, evaluation = batch_of(), context(train=False)
    judged = task.loss(params, batch, evaluation)
    assert judged.metrics["mask_ratio"].numbers("x") == {"x": 0.5}
    task, _ = make(
        types.SimpleNamespace(shape=SHAPE, num_classes=CLASSES, has_gate=True),
        **(PLAIN | {"mask.fill": "gate", "mask.when": "always"}),
    )
    half = {**batch, "gate": jnp.full((SIZE, 16), 0.5)}
    halved = {**batch, "inputs": batch["inputs"] / 2, "gate": jnp.ones((SIZE, 16))}
    logits = task.outputs()["logits"]
    np.testing.assert_allclose(
        logits(params, half, evaluation), logits(params, halved, evaluation), rtol=1e-4, atol=1e-5
    )


def test_devices_and_micro_batches_mix_the_same_rows(make):
    """With a head that tells inputs apart, so that other partners would be another loss."""
    losses = {}
    for devices, steps in ((1, 1), (4, 1), (2, 2)):
        task, config = make(**{"optimizer.accumulate_steps": steps, "optimizer.ema_decay": 0.9})
        spread = parallel.Spread(devices)
        spread.check_batch(SIZE, steps, task.group_size)
        state = run.initial_state(task, config)
        state = spread.replicate(state.replace(params=with_head(state.params)))
        program = spread.program(run.make_step(task, config, spread.axis_name))
        _, report = program(state, spread.split(batch_of()))
        losses[devices, steps] = float(report["loss"]), float(report["grad_norm"])
    np.testing.assert_allclose(losses[4, 1], losses[1, 1], rtol=1e-5)
    np.testing.assert_allclose(losses[2, 2], losses[1, 1], rtol=1e-5)
    with pytest.raises(ValueError, match="groups of 2 rows"):
        parallel.Spread(4).check_batch(4, 1, task.group_size)


def test_a_fine_tuning_starts_from_the_encoder_of_a_pretraining(make, load_config, tmp_path):
    decoder = {"model.decoder": {"width": 8, "depth": 1, "heads": 2}}
    pretraining = load_config("mae", "smoke", **(ENCODER | decoder))
    mae = tasks.build(pretraining, types.SimpleNamespace(shape=SHAPE))
    before = run.initial_state(mae, pretraining)
    with Checkpoints(tmp_path / "mae" / "checkpoints") as checkpoints:
        checkpoints.save(7, before)
    task, config = make(**{"init_from.path": str(tmp_path / "mae"), "seed": 3})
    fresh = jax.device_put(run.initial_state(task, config), jax.devices()[0])
    state, record, line = init_from.start(fresh, config, lambda step, factor: 0.1, task)
    encoder = before.params["encoder"]
    np.testing.assert_array_equal(
        state.params["encoder"]["transformer"]["block00"]["attn"]["key"]["kernel"],
        encoder["transformer"]["block00"]["attn"]["key"]["kernel"],
    )
    jax.tree.map(np.testing.assert_array_equal, state.params["head"], fresh.params["head"])
    assert record["begins anew"] == [
        "encoder/positions/table", "head/bias", "head/kernel", "head/norm/bias", "head/norm/scale",
    ]  # fmt: skip
    assert all(
        path.startswith(("decoder/", "encoder/transformer/norm/")) for path in record["left out"]
    )
    assert "begins anew: encoder/positions/table; head/bias" in line
    # The table that is trained here begins as the one that is fixed there.
    table = state.params["encoder"]["positions"]["table"]
    np.testing.assert_array_equal(table[0], sincos_positions((4, 4), 8))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"loss.smoothing": 1.0}, "loss.smoothing 1.0 must be at least 0 and below 1"),
        ({"loss.class_weights": (1.0, 2.0)}, "holds 2 numbers for 3 classes: give one a class"),
        ({"model.pool": "both"}, "unknown model.pool 'both': use one of"),
        ({"mix.mixup": -1.0}, "mix.mixup -1.0 must be at least 0"),
        ({"mask.fill": "blur"}, "unknown mask.fill 'blur'"),
        ({"mask.when": "never"}, "unknown mask.when 'never'"),
        ({"data.missing": "hide:-9"}, "data.missing 'hide:-9' .* set it to '-9'"),
        ({"mask.rule": "random", "mask.ratio": 0.99}, "hides 16 of 16 patches"),
        ({"model.lora_rank": -1}, "model.lora_rank -1 must be at least 0"),
        ({"model.lora_rank": 9}, r"lora_rank 9 does not fit encoder/.*/query/kernel \[8, 8\]"),
        (
            {"model.lora_rank": 1, "model.lora_on": ("/bias$",)},
            r"lora_rank 1 does not fit enc.*bias",
        ),
        ({"model.lora_rank": 1, "model.lora_on": ("qery",)}, "model.lora_on 'qery' is found in no"),
    ],
)
def test_options_that_do_not_fit_are_refused(make, overrides, message):
    with pytest.raises(ValueError, match=message):
        make(**overrides)


class Labelled:
    """Labels of a training split, as data know them."""

    shape, num_classes = SHAPE, CLASSES

    def __init__(self, labels):
        self._labels = labels

    def source(self, split):
        return types.SimpleNamespace(labels=lambda: self._labels)


def test_balanced_weights_are_scikit_learns(make):
    labels = np.array([0] * 6 + [1] * 3 + [2])
    task, _ = make(Labelled(labels), **{"loss.class_weights": ("balanced",)})
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(task.class_weights, expected)
    with pytest.raises(ValueError, match=r"does not tell how often each class .* give a number"):
        make(Labelled(None), **{"loss.class_weights": ("balanced",)})


def test_a_class_without_examples_is_named(make):
    with pytest.raises(
        ValueError, match=r"class 1 has no training example, 1 of 3 .* without gaps"
    ):
        make(Labelled(np.array([0, 2, 2])))


def test_an_example_may_have_several_classes(make):
    data = types.SimpleNamespace(shape=SHAPE, num_classes=None, num_targets=CLASSES)
    task, _ = make(data, **(PLAIN | {"loss.smoothing": 0.2, "loss.class_weights": (1.0, 2.0, 5.0)}))
    params = with_head(jax.jit(task.init)(jax.random.key(0)))
    targets = np.random.default_rng(3).integers(0, 2, (SIZE, CLASSES)).astype(np.float32)
    batch = {**batch_of(), "targets": targets}
    logits = np.asarray(task.outputs()["logits"](params, batch, context()), np.float64)
    chances = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(
        task.outputs()["classes"](params, batch, context()), chances, rtol=1e-4
    )

    def binary(truth):
        return -(truth * np.log(chances) + (1 - truth) * np.log(1 - chances))

    sums = task.loss(params, batch, context())
    expected = (binary(0.8 * targets + 0.1) * [1, 2, 5]).sum() / 8
    np.testing.assert_allclose((sums.loss, sums.weight), (expected, SIZE), rtol=1e-4)
    judged = task.loss(params, batch, context(train=False))
    np.testing.assert_allclose(judged.loss, binary(targets).mean(1).sum(), rtol=1e-4)
    assert "hamming_loss" in judged.metrics[""].numbers("")


def test_numbers_are_predicted_in_their_own_units(make):
    data = types.SimpleNamespace(shape=SHAPE, num_targets=2)
    scaled = {"task": "regress", "loss.centre": (10.0, 0.0), "loss.scale": (4.0,)}
    task, _ = make(data, **(PLAIN | scaled | {"loss.kind": "l1"}))
    params = with_head(jax.jit(task.init)(jax.random.key(0)))
    targets = np.random.default_rng(3).normal((10, 0), 4, (SIZE, 2)).astype(np.float32)
    batch = {**batch_of(), "targets": targets}
    found = np.asarray(task.outputs()["logits"](params, batch, context())) * 4 + [10, 0]
    judged = task.loss(params, batch, context(train=False))
    np.testing.assert_allclose(judged.loss, np.abs(found - targets).mean(1).sum() / 4, rtol=1e-4)
    numbers = judged.metrics[""].numbers("")
    assert numbers["mae"] == pytest.approx(np.abs(found - targets).mean(), rel=1e-4)
    assert numbers["r2"] == pytest.approx(r2_score(targets, found), rel=1e-3)
    with pytest.raises(ValueError, match=r"loss.scale holds 3 numbers for 2 targets: give one"):
        make(data, **(scaled | {"loss.scale": (1.0, 1.0, 1.0)}))
    with pytest.raises(ValueError, match=r"'regress' on data without targets .* targets_train"):
        make(**scaled)


@pytest.mark.parametrize(("count", "what"), [(None, "no labels"), (1, "one class alone")])
def test_data_without_classes_are_refused(make, count, what):
    with pytest.raises(ValueError, match=f"data with {what} .*: give labels of two classes"):
        make(types.SimpleNamespace(shape=SHAPE, num_classes=count))


@pytest.mark.parametrize(
    ("what", "is_trained"),
    [
        ("the head alone", lambda path: False),
        ("last two of 4 blocks", lambda path: path.startswith("encoder/transformer/block")),
        ("biases, head (BitFit)", lambda path: path.endswith("bias")),
    ],
)
def test_what_is_trained_is_chosen_by_the_rules_that_the_config_says(make, what, is_trained):
    page = (Path(__file__).parents[2] / "configs" / "finetune.py").read_text()
    told = page[page.index(what) :].split('"', 2)[1]
    frozen = {"optimizer.frozen": ast.literal_eval(told), "optimizer.layer_decay": 1.0}
    depth = 4 if "two" in what else 2
    encoder = {"model.encoder": {"width": 8, "depth": depth, "heads": 2}}
    task, config = make(**frozen, **encoder)
    params = jax.eval_shape(task.init, jax.random.key(0))
    update = make_update(config, params)
    moved = {path for path in leaf_paths(params) if path not in update.frozen}
    assert moved >= HEAD
    first = {p for p in leaf_paths(params) if "block00" in p or "block01" in p}
    expected = {path for path in leaf_paths(params) if is_trained(path)} - HEAD
    assert moved - HEAD == (expected - first if depth == 4 else expected)


def test_frozen_leaves_stay_bitwise_and_have_no_moments_and_no_decay(make):
    options = {"optimizer.weight_decay": 0.5, "optimizer.ema_decay": 0.9}
    frozen = {"optimizer.frozen": ("^encoder/.*(kernel|scale|token|table)$",)}
    task, config = make(**options, **frozen, **{"optimizer.warmup_steps": 0})
    state = run.initial_state(task, config)
    state = state.replace(params=with_head(state.params))
    before = jax.device_get(state.params)
    step = jax.jit(run.make_step(task, config, None))
    after, _ = step(state, batch_of())
    still = make_update(config, before).frozen
    for path, old, new in zip(
        leaf_paths(before), jax.tree.leaves(before), jax.tree.leaves(after.params), strict=True
    ):
        assert (old == np.asarray(new)).all() == (path in still), path
    num_moments = len(jax.tree.leaves(after.opt_state)) - 1  # beside the count
    assert num_moments == 2 * (len(leaf_paths(before)) - len(still))


def test_adapters_are_nothing_at_first_and_never_change_what_they_adapt(make, tmp_path):
    lora = {"model.lora_rank": 2, "model.lora_alpha": 6.0, "optimizer.frozen": ("^encoder/",)}
    steady = {"optimizer.warmup_steps": 0, "optimizer.layer_decay": 1.0, **PLAIN}
    (task, config), (plain, plain_config) = make(**lora, **steady), make(**steady)
    state = run.initial_state(task, config)
    drawn = run.initial_state(plain, plain_config).params
    own = {name: part for name, part in state.params.items() if name != "lora"}
    jax.tree.map(np.testing.assert_array_equal, own, drawn)
    state = state.replace(params=with_head(state.params))
    before, batch = jax.device_get(state.params), batch_of()
    logits = jax.jit(task.outputs()["logits"])
    without = jax.jit(plain.outputs()["logits"])
    base = without({**own, "head": before["head"]}, batch, context(train=False))
    np.testing.assert_array_equal(logits(before, batch, context(train=False)), base)
    step = jax.jit(run.make_step(task, config, None))
    for _ in range(2):  # A has a gradient once B is not zero
        state, _ = step(state, batch)
    after = jax.device_get(state.params)
    jax.tree.map(np.testing.assert_array_equal, after["encoder"], before["encoder"])
    moved = jax.tree.map(lambda old, new: (old != new).any(), before["lora"], after["lora"])
    assert [*leaf_paths(moved)] == [
        f"encoder/transformer/block00/attn/{name}/kernel/{part}"
        for name in ("query", "value")
        for part in ("a", "b")
    ]
    assert all(jax.tree.leaves(moved))
    same, merged = task.without_adapters(after)
    kernel_of = lambda tree: tree["encoder"]["transformer"]["block00"]["attn"]["query"]["kernel"]  # noqa: E731
    parts = kernel_of(after["lora"])
    expected = kernel_of(after) + 6 / 2 * parts["a"] @ parts["b"]
    np.testing.assert_allclose(kernel_of(merged), expected, rtol=1e-5, atol=1e-6)
    assert set(merged) == {"encoder", "head"}
    tuned = logits(after, batch, context(train=False))
    found = jax.jit(same.outputs()["logits"])(merged, batch, context(train=False))
    np.testing.assert_allclose(found, tuned, rtol=1e-4, atol=1e-5)
    assert np.abs(tuned - base).max() > 1e-4
    # A run without adapters starts from both.
    with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
        checkpoints.save(2, state)
    said = {"config": {"model": {"lora_rank": 2, "lora_alpha": 6.0}}}
    (tmp_path / "run" / "config.json").write_text(json.dumps(said))
    _, config = make(**{"init_from.path": str(tmp_path / "run")}, **steady)
    fresh = jax.device_put(run.initial_state(plain, config), jax.devices()[0])
    begun, _, line = init_from.start(fresh, config, lambda step, factor: 0.1, plain)
    np.testing.assert_allclose(kernel_of(begun.params), kernel_of(merged), rtol=1e-6)
    assert "its adapters are merged" in line
