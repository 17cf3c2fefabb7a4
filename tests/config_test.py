"""Trainer keys: each once; numbers out of range are refused by their key and their limits."""

import copy
import math

import pytest
from absl import logging
from ml_collections import ConfigDict

from maskjax import config as shared
from maskjax.keys import KEYS
from maskjax.training import schedule

RANGED = [name for name, key in KEYS.items() if key.low is not None]


def test_every_config_is_within_the_ranges(load_config):
    for name in ("mae", "simmim"):
        for variant in ("", "smoke", "fashion_mnist", "imagenet_vit_l16", "signal", "volume"):
            config = load_config(name, variant)
            shared.check_ranges(config)
            schedule.check_rates(config)


def test_every_number_of_the_trainer_has_a_range():
    numbers = {
        name
        for name, value in shared.flatten(shared.base()).items()
        if type(value) in (int, float) and not name.startswith("data.")
    }
    assert numbers == {name for name in RANGED if KEYS[name].kind is None}  # the others are unset


@pytest.mark.parametrize("name", RANGED)
def test_what_is_not_finite_or_below_the_least_is_refused(name):
    key = KEYS[name]
    for value in (
        key.low - 1,
        key.high + key.is_high_allowed,
        -math.inf,
        math.nan,
        "8",
        *([None] if key.kind is None else []),
        True,
    ):
        config = shared.flatten(shared.base()) | {name: value}
        with pytest.raises(ValueError, match=f"^{name} is .*: it must be "):
            shared.check_ranges(config)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 2**32 - 1),
        ("optimizer.base_lr", 0.0),  # probes of a random initialisation
        ("optimizer.b1", 0.0),
        ("optimizer.eps", 1e-30),
        ("optimizer.ema_decay", 0.9999),
        ("max_nonfinite_steps", 0),
        ("optimizer.layer_decay", 1.0),
        ("init_from.what", "all"),
    ],
)
def test_ends_of_a_range_that_make_sense_are_allowed(name, value):
    shared.check_ranges(shared.base(**{name: value}))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("total_steps", -1, "total_steps is -1: it must be at least 0 and below 2147483648"),
        ("optimizer.b2", 1.0, "optimizer.b2 is 1.0: it must be at least 0 and below 1"),
        ("optimizer.eps", 0.0, "optimizer.eps is 0.0: it must be above 0 and finite"),
        (
            "init_from.what",
            "some",
            "init_from.what is 'some': it must be one of ('params', 'all')",
        ),
    ],
)
def test_the_message_is_whole(name, value, message):
    with pytest.raises(ValueError) as error:
        shared.check_ranges(shared.base(**{name: value}))
    assert str(error.value) == message


def test_a_least_rate_above_the_peak_is_refused():
    with pytest.raises(ValueError, match=r"min_lr is 0\.5: it must be at most the peak 9\.375e-05"):
        schedule.check_rates(shared.base(batch_size=16, **{"optimizer.min_lr": 0.5}))


def test_a_key_that_is_missing_is_named_with_its_default():
    config = shared.base()
    del config.figures
    with pytest.raises(ValueError, match=r"lacks figures\.num_examples: add it, by default 8, or "):
        shared.check_ranges(config)


def test_a_config_from_before_some_keys_means_what_it_meant():
    old = shared.base(seed=5)
    del old.init_from
    del old.data.missing
    del old.eval.probes
    before = copy.deepcopy(old.lock())
    new = shared.complete(old)
    assert old == before
    assert new.is_locked
    assert (new.seed, new.data.missing) == (5, "")
    assert (new.init_from.path, new.init_from.what, new.init_from.skip) == ("", "params", ())
    assert new.eval.probes == ("knn", "linear", "raw", "largest_class")
    shared.check_ranges(new)
    whole = shared.base()
    assert shared.complete(whole) is whole


def test_a_later_key_of_a_task_comes_to_the_configs_that_it_reads_alone(load_config):
    old = load_config("mae", "smoke").unlock()
    del old.model.norm_eps
    assert shared.complete(old.lock()).model.norm_eps == 1e-6
    own = shared.base(task="mine")
    own.model = ConfigDict({"width": 4})
    assert "norm_eps" not in shared.complete(own).model


def test_defaults_are_within_their_own_ranges():
    shared.check_ranges(shared.base())
    for name, key in KEYS.items():
        assert key.meaning, name


def test_an_override_of_no_key_names_the_nearest():
    with pytest.raises(ValueError, match=r"'batchsize' \(did you mean 'batch_size'\?\)"):
        shared.base(batchsize=3)


@pytest.mark.parametrize(
    ("name", "width"), [("", 2), ("smoke", 1), ("large", 9), ("large_smoke", 1)]
)
def test_a_variant_is_one_of_the_table_or_a_small_one(name, width):
    table = {"default": lambda c: c.update(width=2), "large": lambda c: c.update(width=9)}
    config = shared.variant_of(ConfigDict({"width": 0}), name, table, lambda c: c.update(width=1))
    assert config.width == width
    assert config.is_locked


def test_a_config_file_is_loaded_with_its_variant_or_without(tmp_path):
    (tmp_path / "a.py").write_text("def get_config(name='none'): return name")
    path = tmp_path / "a.py"
    assert shared.load(path) == "none"
    assert shared.load(path, "b") == shared.load(f"{path}:b") == "b"
    assert shared.load(f"{path}:") == ""
    assert shared.load("a.py", "c", beside=tmp_path / "other.py") == "c"
    with pytest.raises(ValueError, match=r"must end in \.py"):
        shared.load(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("warmup", "base_lr", "is_told"), [(2, 1.0, False), (3, 1.0, True), (3, 0.0, False)]
)
def test_a_run_that_ends_within_its_warm_up_is_told_so(monkeypatch, warmup, base_lr, is_told):
    told = []
    monkeypatch.setattr(logging, "warning", lambda *args: told.append(args[0] % args[1:]))
    options = {"optimizer.warmup_steps": warmup, "optimizer.base_lr": base_lr}
    schedule.check_rates(shared.base(total_steps=3, **options))
    text = (
        "optimizer.warmup_steps is 3 of total_steps 3: the run ends within its warm-up; lower the "
        "one or raise the other."
    )
    assert told == [text] * is_told


def test_names_with_commas_between_are_taken_apart():
    config = shared.base(loggers=("jsonl, wandb",), **{"eval.probes": ("knn,linear",)}).lock()
    whole = shared.complete(config)
    assert whole.loggers == ("jsonl", "wandb")
    assert whole.eval.probes == ("knn", "linear")
    assert config.loggers == ("jsonl, wandb",)
