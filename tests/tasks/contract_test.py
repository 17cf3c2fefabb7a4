"""What holds for every task: one table. A new task is one line of CASES, on its smallest shapes."""

import dataclasses
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export as jax_export

from maskjax import masking, tasks
from maskjax.data.text.tokenizer import Specials
from maskjax.evaluation import panels
from maskjax.tasks.task import Context
from maskjax.training import parallel, run
from maskjax.workdir import watch
from maskjax.workdir.checkpoint import Checkpoints

SIZE, STEPS = 8, 3  # a batch divides by four devices and into halves
PATCH_ENCODER = {"model.encoder": {"width": 8, "depth": 1, "heads": 2}}
PATCHES = PATCH_ENCODER | {"model.decoder": {"width": 8, "depth": 1, "heads": 2}}
SMALL_TEXT = {"model.width": 8, "model.depth": 1, "model.heads": 2}
CONVOLUTIONS = {"model.depths": (1,), "model.widths": (4,), "model.drop_path": 0.1}
DROPS = {"model.drop_path": 0.1, "model.dropout": 0.3}
WEIGHTED = {"mask.rule": "weighted", "mask.ratio": 0.5}
BY_LABELS = {"mask.follows": "labels", "mask.labels.alpha": 2.0}
# From the second step on no loss is better by so much, and the rate falls.
WATCHED = {
    "eval_every_steps": 1,
    "stop.metric": "loss",
    "stop.patience": 9,
    "optimizer.schedule": "plateau",
    "optimizer.plateau.patience": 1,
    "optimizer.plateau.min_delta": 1e6,
}


class Case(NamedTuple):
    """A task and what it is fed.

    Attributes:
        config: name of the config file, and of a variant; its smoke variant is taken.
        changes: to the config, by dotted name.
        data: what `build` is given as the data.
        rows: (generator, number of rows) -> the entries of a batch that are the task's own.
        is_random: whether keys decide anything.
    """

    config: str
    changes: dict[str, Any]
    data: Any
    rows: Callable[[np.random.Generator, int], dict[str, np.ndarray]]
    is_random: bool = True


def arrays(*shape, has_labels=False, has_missing=False, has_gate=False, num_targets=0):
    """Data of normal numbers: what `build` is given, and rows; one of them may lack all numbers."""

    def draw(rng, size):
        rows = {"inputs": rng.normal(size=(size, *shape)).astype(np.float32)}
        if has_labels:
            rows["label"] = rng.integers(0, 2, size).astype(np.int32)
        if has_missing:
            rows["is_known"] = rng.random((size, *shape)) < 0.9
            rows["is_known"][1] = False
            rows["inputs"][~rows["is_known"]] = 0
        if num_targets:
            rows["targets"] = rng.normal(size=(size, num_targets)).astype(np.float32)
        if has_gate:
            rows["gate"] = rng.random((size, *shape[:-1])).astype(np.float32)
        return rows

    known = {"has_gate": has_gate, "num_targets": num_targets}
    known |= {"num_classes": 2, "num_train": 20} if has_labels else {}
    return types.SimpleNamespace(shape=shape, **known), draw


def histories(num_items, length):
    """Histories of items, padded in front, one of them of nothing."""

    def draw(rng, size):
        items = rng.integers(1, num_items + 1, (size, length)).astype(np.int32)
        lengths = rng.integers(0, length + 1, (size, 1))
        return {"items": np.where(np.arange(length) >= length - lengths, items, 0)}

    processor = types.SimpleNamespace(num_items=num_items, length=length)
    return types.SimpleNamespace(processor=processor), draw


def texts(num_ids, length, *, has_labels=False, tags=()):
    """Rows of two texts each, framed by ids below 5 and padded; one of them is of nothing."""

    def draw(rng, size):
        tokens = rng.integers(5, num_ids, (size, length)).astype(np.int32)
        segments = np.repeat([[1, 2, 0]], [length // 2, length // 2 - 2, 2], axis=1)
        segments = np.where(np.arange(size)[:, None] == 1, 0, segments).astype(np.int32)
        is_special = (segments == 0) | (np.arange(length) % (length // 2) == 0)
        tokens = np.where(segments == 0, 0, np.where(is_special, 2, tokens))
        words = np.where(is_special, -1, np.arange(length) // 2)
        rows = {"tokens": tokens, "segment_ids": segments, "word_ids": words}
        places = np.where(segments == 0, 0, np.arange(length) % (length // 2))
        rows = {name: x.astype(np.int32) for name, x in (rows | {"positions": places}).items()}
        rows["is_special"] = is_special
        if has_labels:
            rows["label"] = rng.integers(0, 2, size).astype(np.int32)
        if tags:
            labels = rng.integers(-1, len(tags) + 1, tokens.shape).astype(np.int32)
            rows["token_labels"] = np.where(is_special, -1, labels)
        return rows

    specials = Specials(mask=4)
    names = types.SimpleNamespace(
        vocab_size=num_ids, specials=specials, special_ids=(0, 1, 2, 3, 4)
    )
    names.frame = types.SimpleNamespace(before=(2,))
    kind = {"layout": "whole", "has_pairs": False, "tag_names": tags}
    processor = types.SimpleNamespace(tokenizer=names, max_length=length, **kind)
    known = {"num_classes": 2, "num_train": 20} if has_labels else {}
    return types.SimpleNamespace(processor=processor, **known), draw


LABELLED, HALF = arrays(10, 1, has_labels=True), {"mask.ratio": 0.5}
CASES = {
    "mae": Case("mae", PATCHES, *arrays(8, 8, 1)),
    "mae, masks that follow losses beside what is missing": Case(
        "mae", PATCHES | WEIGHTED | {"data.missing": "hide"}, *arrays(8, 8, 1, has_missing=True)
    ),
    "simmim": Case("simmim", PATCHES | DROPS, *arrays(8, 8, 1)),
    "simmim, a soft gate by labels": Case(
        "simmim",
        PATCHES | BY_LABELS | {"mask.fill": "gate", "loss.on": "all", "mask.rule": "none"},
        *arrays(8, 8, 1, has_labels=True),
        is_random=False,
    ),
    "vectors, watched": Case("vectors", WATCHED, *arrays(10, 1)),
    "vectors, a soft gate from outside and nothing hidden": Case(
        "vectors",
        {"mask.rule": "none", "mask.fill": "gate", "loss.on": "all"},
        *arrays(10, 1, has_gate=True),
        is_random=False,
    ),
    "vectors, masks that follow labels": Case("vectors", WEIGHTED | BY_LABELS, *LABELLED),
    "vectors, hard_patches": Case("vectors", {"mask.rule": "hard_patches"} | HALF, *arrays(10, 1)),
    "vectors, error_window": Case("vectors", {"mask.rule": "error_window"} | HALF, *arrays(10, 1)),
    "vectors, best_of": Case("vectors", {"mask.best_of.candidates": 3} | HALF, *arrays(10, 1)),
    "vectors, weights hidden and grown": Case(
        "vectors", HALF | {"param_masks.method": "rigl", "param_masks.every_steps": 2}, *LABELLED
    ),
    "linear probe, two heads": Case(
        "linear_probe",
        PATCHES | {"model.probe_heads": ("x1", "x9"), "optimizer.rates": (("^head/x9/", 9.0),)},
        *arrays(8, 8, 1, has_labels=True),
        is_random=False,
    ),
    "attentive probe": Case(
        "linear_probe:attentive", PATCHES, *arrays(8, 8, 1, has_labels=True), is_random=False
    ),
    "mlm, masks that follow losses": Case(  # they are drawn by keys of the documents
        "mlm", WEIGHTED | {"mask.copies": 2}, *texts(11, 12), is_random=False
    ),
    "mlm, masks that follow labels": Case(
        "mlm",
        SMALL_TEXT | WEIGHTED | BY_LABELS,
        *texts(11, 12, has_labels=True),
        is_random=False,
    ),
    "mlm, masks that follow frequencies": Case(
        "mlm",
        SMALL_TEXT | WEIGHTED | {"mask.follows": "frequencies"},
        *texts(11, 12),
        is_random=False,
    ),
    "classify texts, tokens hidden by their losses": Case(
        "text_classify",
        SMALL_TEXT | WEIGHTED | {"loss.class_weights": (1.0, 2.0)},
        *texts(11, 12, has_labels=True),
    ),
    "token labels, smoothed, hidden tokens out of the attention": Case(
        "token_labels",
        SMALL_TEXT | {"loss.smoothing": 0.1, "mask.rule": "random", "mask.fill": "drop"},
        *texts(11, 12, tags=("B-X", "I-X", "O")),
    ),
    "diffusion_lm, heads that change": Case(
        "diffusion_lm", {"model.near_heads": 1, "model.drop_heads": 0.3}, *texts(11, 12)
    ),
    "learned masks of a bag of words": Case(
        "mask_tune:text_learned",
        {"model.form": "bag", "learned.include": ("^encoder/",), "learned.kind": "hard_concrete"},
        *texts(11, 12, has_labels=True),
    ),
    "bert4rec": Case("bert4rec", {"mask.rule": "weighted"}, *histories(9, 6)),
    "regress, mixed": Case(
        "finetune", PATCH_ENCODER | DROPS | {"task": "regress"}, *arrays(8, 8, 1, num_targets=2)
    ),
    "classify, mixed, averaged, patches dropped by their losses": Case(
        "finetune",
        PATCH_ENCODER | WEIGHTED | {"optimizer.ema_decay": 0.9, "mask.fill": "drop"},
        *arrays(8, 8, 1, has_labels=True),
    ),
    "classify, a residual network, mixed, patches as a token by their losses": Case(
        "resnet",
        CONVOLUTIONS | WEIGHTED | {"mask.fill": "token", "mix.mixup": 0.8},
        *arrays(8, 8, 1, has_labels=True),
    ),
    "classify, LeNet, half of each example hidden by noise": Case(
        "lenet",
        {"mask.rule": "random", "mask.fill": "noise"} | HALF,
        *arrays(16, 16, 1, has_labels=True),
    ),
}


class Made(NamedTuple):
    """A task, made once for all its contracts.

    Attributes:
        task: the task.
        config: the whole config.
        batch: a whole batch.
        state: of step 0.
        memory: the memory after a batch.
        sums: (rows of the batch, their content) -> sums, compiled once a number of rows.
    """

    task: Any
    config: Any
    batch: dict[str, np.ndarray]
    state: Any
    memory: Any
    sums: Callable[..., Any]


def _batch(case, seed):
    rows = case.rows(np.random.default_rng(seed), SIZE)
    ids = np.arange(SIZE, dtype=np.int32) + 3
    epoch = np.zeros(SIZE, np.int32)
    return rows | {"id": ids, "epoch": epoch, "is_valid": np.ones(SIZE, bool)}


@pytest.fixture(scope="module", params=CASES.values(), ids=list(CASES))
def case(request):
    """A line of the table."""
    return request.param


@pytest.fixture(scope="module")
def made(case, load_config):
    """The task of a case."""
    changes = {"batch_size": SIZE, "total_steps": STEPS, "optimizer.warmup_steps": 0}
    name, _, variant = case.config.partition(":")
    variant = f"{variant}_smoke" if variant else "smoke"
    config = load_config(name, variant, **(changes | case.changes))
    task = tasks.build(config, case.data)
    state = run.initial_state(task, config)
    batch = _batch(case, 0)

    @jax.jit
    def loss(params, batch, keys, documents, memory, index):
        context = Context(keys, jnp.int32(1), documents, memory, params, index=index)
        return task.loss(params, batch, context)

    def sums(rows, batch, memory, seed=0):
        index = jnp.asarray(rows, jnp.int32)
        keys = masking.example_keys(jax.random.key(seed), 0, index)
        documents = masking.example_keys(jax.random.key(7), 0, jnp.asarray(batch["id"]))
        return jax.device_get(loss(state.params, batch, keys, documents, memory, index))

    statistics = sums(np.arange(SIZE), batch, state.memory).statistics
    memory = task.remember(state.memory, statistics, jnp.int32(0))
    return Made(task, config, batch, state, memory, sums)


def _take(batch, rows):
    return {name: x[rows] for name, x in batch.items()}


def _add(a, b):
    return jax.tree.map(np.add, a, b)


def _assert_close(a, b, rtol=1e-5):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-5), a, b)


ALL, FIRST, LAST = np.arange(SIZE), np.arange(SIZE // 2), np.arange(SIZE // 2, SIZE)


def test_every_task_that_trains_has_a_line(load_config):
    folder = Path(tasks.__file__).parent
    known = {path.stem for path in folder.glob("*.py") if "\ndef build(" in path.read_text()}
    here = [load_config(*each.config.split(":"), **each.changes).task for each in CASES.values()]
    assert set(here) == known - {"__init__", "frozen", "head_pruning"}  # which train nothing


def test_a_batch_equals_the_sum_of_its_halves(made):
    whole = made.sums(ALL, made.batch, made.memory)
    halves = (made.sums(rows, _take(made.batch, rows), made.memory) for rows in (FIRST, LAST))
    assert whole.weight > 0
    _assert_close(whole, _add(*halves))


def test_padding_weighs_nothing_whatever_stands_there(made, case):
    other = _batch(case, 1)
    padded = {name: np.concatenate([x[FIRST], other[name][LAST]]) for name, x in made.batch.items()}
    padded |= {"is_valid": ALL < SIZE // 2, "id": np.where(ALL < SIZE // 2, padded["id"], -1)}
    half = made.sums(FIRST, _take(made.batch, FIRST), made.memory)
    _assert_close(made.sums(ALL, padded, made.memory), half)


def test_keys_alone_decide_what_is_random(made, case):
    whole = made.sums(ALL, made.batch, made.memory)
    jax.tree.map(np.testing.assert_array_equal, whole, made.sums(ALL, made.batch, made.memory))
    # Each row with its own key, and beside those that it is mixed with, wherever they stand.
    order = np.random.default_rng(2).permutation(ALL.reshape(-1, made.task.group_size)).reshape(-1)
    _assert_close(made.sums(order, _take(made.batch, order), made.memory), whole)
    assert (made.sums(ALL, made.batch, made.memory, seed=1).loss != whole.loss) == case.is_random


def test_outputs_and_panels_have_a_row_an_example(made, untyped):
    keys = masking.example_keys(jax.random.key(0), 0, jnp.arange(SIZE))
    context = Context(keys, jnp.int32(1), keys, made.memory, train=False)
    outputs = made.task.outputs()
    (size,) = jax_export.symbolic_shape("b")  # of no number: what is exported takes any batch
    asked = (made.state.params, made.batch, {"keys": keys, "document_keys": keys})
    symbolic = lambda x: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype)  # noqa: E731
    asked = (asked[0], *jax.tree.map(symbolic, asked[1:]))
    for output in outputs.values():

        def call(params, batch, drawn, output=output):
            return output(params, batch, dataclasses.replace(context, **drawn))

        with untyped():
            rows = jax.tree.leaves(jax.eval_shape(call, *asked))
        assert {each.shape[0] for each in rows} == {size}
    shown = made.task.show(made.state.params, jax.device_put(made.batch), context)
    assert set(shown) & set(outputs) <= {"reconstructions"}  # written as numbers, or drawn
    for panel in shown.values():
        arrays = [x for x in panels.first_rows(panel, 3) if isinstance(x, np.ndarray)]
        assert arrays
        assert {len(array) for array in arrays} == {3}


class Trained(NamedTuple):
    """States after each step and what was reported, by number of devices; a step on one device."""

    states: dict[int, list[Any]]
    losses: dict[int, list[float]]
    step: Callable[..., Any]
    fresh: Any


def _stepper(made, case, devices):
    """(state, number of the batch) -> (state, loss): a step, and a look at its loss."""
    spread = parallel.Spread(devices)
    program = spread.program(run.make_step(made.task, made.config, spread.axis_name))

    def step(state, number):
        state, report = program(state, spread.split(_batch(case, number)))
        loss = float(report["loss"])
        if state.watches:
            seen, _ = watch.observe(jax.device_get(state.watches), made.config, {"loss": loss})
            state = dataclasses.replace(state, watches=spread.replicate(seen))
        return state, loss

    return step, spread.replicate(made.state)


@pytest.fixture(scope="module")
def trained(made, case):
    """STEPS steps on one device and on four."""
    states, losses = {}, {}
    for devices in (4, 1):
        step, fresh = _stepper(made, case, devices)
        state, states[devices], losses[devices] = fresh, [], []
        for number in range(STEPS):
            state, loss = step(state, number)
            states[devices].append(state)
            losses[devices].append(loss)
    return Trained(states, losses, step, fresh)


def test_one_device_equals_four_and_memory_advances_alike(made, trained):
    np.testing.assert_allclose(trained.losses[1], trained.losses[4], rtol=1e-5)
    assert len(set(trained.losses[1])) == STEPS
    for one, four in zip(trained.states[1], trained.states[4], strict=True):
        for part in ("memory", "watches", "param_masks"):
            _assert_close(*(jax.device_get(getattr(x, part)) for x in (one, four)), rtol=1e-4)
    for leaf, start in zip(jax.tree.leaves(one.memory), jax.tree.leaves(made.task.start())):
        assert np.shape(leaf) == np.shape(start)
    if jax.tree.leaves(one.memory):
        before, after = (jax.tree.leaves(x.memory) for x in trained.states[1][-2:])
        assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(before, after))


def test_a_state_that_was_saved_goes_on_bit_for_bit(trained, tmp_path):
    *_, before, straight = trained.states[1]
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        checkpoints.save(STEPS - 1, before)
        checkpoints.wait()
        restored = checkpoints.restore(trained.fresh)
    resumed, _ = trained.step(restored, STEPS - 1)
    jax.tree.map(np.testing.assert_array_equal, resumed, straight)
