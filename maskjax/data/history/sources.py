"""Sources of histories: `movielens:DIR`, `interactions:FILE` and `histories`, which are drawn."""

from typing import Any

import numpy as np

from maskjax.data.history.files import read_movielens, read_table
from maskjax.data.history.generated import Chain
from maskjax.data.history.histories import Histories, Split, leave_last_out
from maskjax.data.history.settings import HistorySettings
from maskjax.data.sources import Source, Splits, digest, register
from maskjax.paths import local_path
from maskjax.typing import Float


class HistorySource(Source):
    """The histories of one split: {"items"}, with "target" where there is one to be found.

    Args:
        histories: of all users.
        split: whose, and how much of them.
        chain: what drew them, None where nobody knows.
    """

    in_memory = True

    def __init__(self, histories: Histories, split: Split, chain: Chain | None = None):
        self.histories, self._split, self._chain = histories, split, chain

    def __len__(self) -> int:
        return len(self._split.users)

    def __getitem__(self, index: int) -> dict[str, Any]:
        items = self.histories[int(self._split.users[index])]
        end = int(self._split.ends[index])
        return {"items": items[:end]} | ({"target": items[end]} if self._split.has_target else {})

    def chances(self) -> Float[np.ndarray, "N V"] | None:
        """The true chance of each item to come next, None where nobody knows it."""
        if self._chain is None:
            return None
        last = self.histories.items[self.histories.starts[self._split.users] + self._split.ends - 1]
        return self._chain.probabilities[last - 1]

    def fingerprint(self) -> str:
        histories = self.histories
        return digest(*self._split, histories.items, histories.starts, histories.names)


def splits_of(histories: Histories, name: str, chain: Chain | None = None) -> Splits:
    """Split histories by `leave_last_out`.

    Args:
        histories: of all users.
        name: of the source, for messages.
        chain: what drew them, None where nobody knows.

    Raises:
        ValueError: nobody has three items.
    """
    parts = leave_last_out(histories.lengths)
    if not len(parts["test"].users):
        raise ValueError(
            f"data source {name!r}: no user has 3 items, so none is left to be tested by; the"
            f" longest of {len(histories)} histories has {histories.lengths.max()}"
        )
    sources = {split: HistorySource(histories, part, chain) for split, part in parts.items()}
    return Splits(sources["train"], sources["validation"], sources["test"])


@register("movielens", modality="history")
def movielens(argument: str, settings: HistorySettings) -> Splits:
    """Read `movielens:DIR`, a folder with u.data, ratings.dat or ratings.csv."""
    del settings
    if not argument:
        raise ValueError("data source 'movielens': give its folder, as in movielens:DIR")
    name = f"movielens:{argument}"
    return splits_of(read_movielens(local_path(argument, "data.source")), name)


@register("interactions", modality="history")
def interactions(argument: str, settings: HistorySettings) -> Splits:
    """Read `interactions:FILE`, a table with a header, one interaction a line; .tsv has tabs."""
    if not argument:
        raise ValueError("data source 'interactions': give its file, as in interactions:FILE.csv")
    path = local_path(argument, "data.source")
    if not path.is_file():
        raise FileNotFoundError(f"data source 'interactions:{argument}': there is no such file")
    columns = (settings.user_column, settings.item_column, settings.time_column)
    delimiter = "\t" if path.suffix == ".tsv" else ","
    return splits_of(read_table(path, *columns, delimiter), f"interactions:{argument}")


@register("histories", modality="history")
def histories(argument: str, settings: HistorySettings) -> Splits:
    """Draw 4096 histories of 200 items from a Markov chain; `histories:SEED` draws others."""
    del settings
    if argument and not argument.isdecimal():
        raise ValueError(f"data source 'histories:{argument}': what follows the colon is a seed")
    chain = Chain(int(argument or 0))
    return splits_of(chain.draw(), "histories", chain)
