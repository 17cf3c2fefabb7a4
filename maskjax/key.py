"""What is known of one key of a config: default, meaning, range and history."""

import math
from typing import Any, NamedTuple

import numpy as np

COUNT = 2**31  # steps and examples are counted in int32
ALWAYS = object()


class Key(NamedTuple):
    """What is known of one key.

    Attributes:
        default: its value in `base()`.
        meaning: what it is.
        low: the least number; None where any value of the default's type will do.
        high: the highest number, itself not allowed.
        is_low_allowed: whether `low` itself is.
        is_high_allowed: whether `high` is, after all.
        choices: all values that there are; () where there are more.
        are_names: whether it lists names, without commas in them.
        is_free: whether a resumed run may change it, for it changes no result but by rounding.
        is_place: whether it says where data are; what they are is compared by themselves.
        before: what stands for it in configs from before it existed; unset for the oldest keys,
            which every config has.
        kind: type of its values, where the default is None, which stands for none.
    """

    default: Any
    meaning: str
    low: float | None = None
    high: float = math.inf
    is_low_allowed: bool = True
    is_high_allowed: bool = False
    choices: tuple[str, ...] = ()
    are_names: bool = False
    is_free: bool = False
    is_place: bool = False
    before: Any = ALWAYS
    kind: type | None = None

    @property
    def range(self) -> str:
        """The numbers that are allowed, in words."""
        least = f"at least {self.low}" if self.is_low_allowed else f"above {self.low}"
        most = f"at most {self.high}" if self.is_high_allowed else f"below {self.high}"
        return f"{least} and {'finite' if self.high == math.inf else most}"

    def problem(self, value: Any) -> str | None:
        """Say what a value must be instead, None where it is right."""
        if value is None and self.kind is not None:
            return None
        if self.choices:
            return None if value in self.choices else f"one of {self.choices}"
        if self.low is None:
            return None
        is_whole = issubclass(self.kind or type(self.default), int)
        kinds = (int, np.integer) if is_whole else (int, float, np.integer, np.floating)
        if not isinstance(value, kinds) or isinstance(value, bool):
            return "a whole number" if is_whole else "a number"
        is_above = value >= self.low if self.is_low_allowed else value > self.low
        is_below = value <= self.high if self.is_high_allowed else value < self.high
        return None if is_above and is_below else self.range  # NaN is neither


def count(default: int, meaning: str, *, low: int = 0, **others: Any) -> Key:
    """Make the key of a count."""
    return Key(default, meaning, low=low, high=COUNT, **others)
