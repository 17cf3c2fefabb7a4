"""Ranges of the numbers that the trainer reads from a config, checked before anything else."""

import functools
import math
from typing import Any, NamedTuple

from absl import logging

from maskjax.training.init_from import WHAT
from maskjax.training.update import peak_learning_rate


class Limit(NamedTuple):
    """Where a number may lie: from `low`, itself allowed or not, to below `high`."""

    low: float | int
    high: float | int = math.inf
    is_low_allowed: bool = True

    def allows(self, value: float | int) -> bool:
        """Whether a number lies within; NaN and infinity never do."""
        is_above = value >= self.low if self.is_low_allowed else value > self.low
        return is_above and value < self.high

    def __str__(self) -> str:
        words = f"at least {self.low}" if self.is_low_allowed else f"above {self.low}"
        return f"{words} and {'finite' if self.high == math.inf else f'below {self.high}'}"


_COUNT = 2**31  # steps and examples are counted in int32
LIMITS = {
    "seed": Limit(0, 2**32),
    "batch_size": Limit(1, _COUNT),
    "total_steps": Limit(1, _COUNT),
    "num_devices": Limit(0, _COUNT),
    "log_every_steps": Limit(0, _COUNT),
    "eval_every_steps": Limit(0, _COUNT),
    "save_every_steps": Limit(0, _COUNT),
    "keep_checkpoints": Limit(1, _COUNT),
    "max_nonfinite_steps": Limit(0, _COUNT),
    "optimizer.base_lr": Limit(0),
    "optimizer.min_lr": Limit(0),
    "optimizer.b1": Limit(0, 1),
    "optimizer.b2": Limit(0, 1),
    "optimizer.eps": Limit(0, is_low_allowed=False),
    "optimizer.weight_decay": Limit(0),
    "optimizer.warmup_steps": Limit(0, _COUNT),
    "optimizer.clip_norm": Limit(0),
    "optimizer.layer_decay": Limit(0, math.nextafter(1, 2), is_low_allowed=False),
    "optimizer.accumulate_steps": Limit(1, _COUNT),
    "optimizer.ema_decay": Limit(0, 1),
    "eval.batch_size": Limit(1, 2**20),  # each is padded to so many
    "eval.knn_k": Limit(1, _COUNT),
    "eval.max_train_examples": Limit(0, _COUNT),
    "figures.num_examples": Limit(0, 257),  # rows of one picture
    "figures.every_steps": Limit(0, _COUNT),
}


def check_ranges(config: Any) -> None:
    """Refuse numbers out of range.

    Args:
        config: the whole config; the keys of `LIMITS` are read.

    Raises:
        ValueError: names the key, its value and its limits; or a key is missing.
    """
    for key, limit in LIMITS.items():
        value = _read(config, key)
        if not limit.allows(value):
            raise ValueError(f"{key} is {value}: it must be {limit}")
    _read(config, "init_from.path")
    if _read(config, "init_from.what") not in WHAT:
        raise ValueError(f"init_from.what is {config.init_from.what!r}: it must be one of {WHAT}")


def _read(config: Any, key: str) -> Any:
    try:
        return functools.reduce(lambda node, name: node[name], key.split("."), config)
    except KeyError:
        raise ValueError(f"the config lacks {key}: take it from configs/mae.py") from None


def check(config: Any) -> None:
    """Refuse numbers out of range; warn where the learning rate never gets to its peak.

    Args:
        config: the whole config; the keys of `LIMITS` are read.

    Raises:
        ValueError: like `check_ranges`; or the least learning rate is above the peak.
    """
    check_ranges(config)
    options = config.optimizer
    peak = peak_learning_rate(options.base_lr, config.batch_size)
    if peak and options.min_lr > peak:
        raise ValueError(
            f"optimizer.min_lr is {options.min_lr}: it must be at most the peak {peak}, which is "
            "optimizer.base_lr * batch_size / 256"
        )
    if peak and options.warmup_steps >= config.total_steps:
        logging.warning(
            "optimizer.warmup_steps is %d of total_steps %d: the run ends within its warm-up; "
            "lower the one or raise the other.",
            options.warmup_steps, config.total_steps,
        )  # fmt: skip
