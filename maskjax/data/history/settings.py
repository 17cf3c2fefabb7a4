"""The keys of `config.data` that histories have."""

import dataclasses

from maskjax.data.settings import Settings, default_of
from maskjax.keys import KEYS

WINDOWS = ("newest", "random")


@dataclasses.dataclass(frozen=True)
class HistorySettings(Settings):
    """How histories of items are prepared.

    Attributes:
        length: items of an example; shorter histories are padded in front.
        window: what of a longer history trains: its "newest" items, or a "random" window of it,
            drawn anew each time. A test always shows the newest.
        user_column: of `interactions:FILE`, the name of the column of users.
        item_column: the name of the column of items.
        time_column: the name of the column of times; "" takes each user's lines as sorted.
        gate: m of a soft gate, how much of each item is seen: "frequencies" or
            "frequencies:EXPONENT" lets through less of what is frequent in training, a .csv file
            has item,m lines; "" is none.

    Raises:
        ValueError: where a value is outside what is stated here.
    """

    length: int = 50
    window: str = "newest"
    user_column: str = "user"
    item_column: str = "item"
    time_column: str = "time"
    gate: str = default_of("gate")

    def __post_init__(self):
        super().__post_init__()
        if not 2 <= self.length < 2**20:
            raise ValueError(
                f"data.length={self.length} must be at least 2, an item and the next one, and below"
                " 2**20"
            )
        if self.window not in WINDOWS:
            raise ValueError(f"data.window={self.window!r} must be one of {WINDOWS}")
        for name in ("validation_fraction", "test_fraction"):
            # Configs from before there were test splits say 0.
            if getattr(self, name) not in (default_of(name), KEYS[f"data.{name}"].before):
                raise ValueError(
                    f"data.{name}={getattr(self, name)} says nothing of histories, whose last"
                    f" items are held out: leave it at {default_of(name)}"
                )
        for name in ("validation_source", "test_source"):
            if getattr(self, name):
                raise ValueError(
                    f"data.{name}={getattr(self, name)!r} must be '' for histories: their last"
                    " items are held out"
                )
