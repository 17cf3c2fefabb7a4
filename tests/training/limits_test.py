"""Numbers out of range are refused before anything is read, by their key and their limits."""

import math

import pytest
from absl import logging

from maskjax.training import limits


def test_every_config_is_within_the_limits(load_config):
    for name in ("mae", "simmim"):
        for variant in ("", "smoke", "fashion_mnist", "imagenet_vit_l16", "signal", "volume"):
            limits.check(load_config(name, variant))


def test_every_number_of_the_trainer_has_limits(load_config):
    config = load_config("mae").to_dict()
    sections = {"": config, **{name: config[name] for name in ("optimizer", "eval", "figures")}}
    numbers = {
        f"{section}.{key}".lstrip(".")
        for section, values in sections.items()
        for key, value in values.items()
        if isinstance(value, int | float)
    }
    assert numbers == set(limits.LIMITS)


@pytest.mark.parametrize("key", limits.LIMITS)
def test_what_is_not_finite_or_below_the_least_is_refused(load_config, key):
    limit = limits.LIMITS[key]
    for value in (limit.low - 1, limit.high, -math.inf, math.nan):
        config = load_config("mae", "smoke")
        with config.ignore_type():
            config.update_from_flattened_dict({key: value})
        with pytest.raises(ValueError, match=f"^{key} is .*: it must be ") as error:
            limits.check(config)
        assert str(limit.low) in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 2**32 - 1),
        ("optimizer.base_lr", 0.0),  # probes of a random initialisation
        ("optimizer.b1", 0.0),
        ("optimizer.eps", 1e-30),
        ("optimizer.ema_decay", 0.9999),
        ("max_nonfinite_steps", 0),
    ],
)
def test_ends_of_a_range_that_make_sense_are_allowed(load_config, key, value):
    limits.check(load_config("mae", "smoke", **{key: value}))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("total_steps", 0, "total_steps is 0: it must be at least 1 and below 2147483648"),
        ("optimizer.b2", 1.0, "optimizer.b2 is 1.0: it must be at least 0 and below 1"),
        ("optimizer.eps", 0.0, "optimizer.eps is 0.0: it must be above 0 and finite"),
        (
            "optimizer.min_lr",
            0.5,
            "optimizer.min_lr is 0.5: it must be at most the peak 9.375e-05,",
        ),
    ],
)
def test_the_message_is_whole(load_config, key, value, message):
    with pytest.raises(ValueError) as error:
        limits.check(load_config("mae", "smoke", **{key: value}))
    assert str(error.value).startswith(message)


def test_a_key_that_is_missing_is_named(load_config):
    config = load_config("mae", "smoke")
    with config.unlocked():
        del config.figures
    with pytest.raises(ValueError, match=r"the config lacks figures\.num_examples"):
        limits.check(config)


@pytest.mark.parametrize(
    ("warmup", "base_lr", "is_told"), [(2, 1.0, False), (3, 1.0, True), (3, 0.0, False)]
)
def test_a_run_that_ends_within_its_warm_up_is_told_so(
    load_config, monkeypatch, warmup, base_lr, is_told
):
    told = []
    monkeypatch.setattr(logging, "warning", lambda *args: told.append(args[0] % args[1:]))
    limits.check(
        load_config(
            "mae", total_steps=3, **{"optimizer.warmup_steps": warmup, "optimizer.base_lr": base_lr}
        )
    )
    assert (
        told
        == [
            "optimizer.warmup_steps is 3 of total_steps 3: the run ends within its "
            "warm-up; lower the one or raise the other."
        ]
        * is_told
    )
