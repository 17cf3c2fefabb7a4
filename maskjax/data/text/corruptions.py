"""Two corruptions of texts at five severities, to judge what was learned on clean ones.

The shares are this table's own. Special tokens and padding stay as they are. What is drawn is the
same at every severity of an example: a larger share contains the smaller.

| severity | 1 | 2 | 3 | 4 | 5 | of |
|---|---|---|---|---|---|---|
| random_tokens | .05 | .1 | .15 | .2 | .3 | share of the tokens that become any ordinary one |
| masked_tokens | .05 | .1 | .15 | .2 | .3 | share of the tokens that become the mask token |
"""

import numpy as np

from maskjax.data.corruption import Corruption
from maskjax.data.processor import Example
from maskjax.typing import Bool

CORRUPTIONS = ("random_tokens", "masked_tokens")
SHARES = (0.05, 0.1, 0.15, 0.2, 0.3)  # from severity 1 on


def corrupt(
    example: Example,
    corruption: Corruption,
    id: int,
    is_special: Bool[np.ndarray, "V"],
    mask: int,
) -> Example:
    """Corrupt one row, the same way at every call.

    Args:
        example: of a text processor; "tokens" and "segment_ids", int32 [L], are read.
        corruption: its name is one of `CORRUPTIONS`.
        id: of the example.
        is_special: which ids of the vocabulary are special tokens.
        mask: id of the mask token.

    Returns:
        The example, of whose tokens the severity's share of those that may change, rounded, are
        others; among random ones each ordinary token is as likely, that which was there too.
    """
    tokens = example["tokens"]
    may_change = ~is_special[tokens] & (example["segment_ids"] > 0)
    rng = np.random.default_rng((CORRUPTIONS.index(corruption.name), corruption.seed, id))
    scores = np.where(may_change, rng.random(tokens.shape), np.inf)
    drawn = rng.choice(np.flatnonzero(~is_special), tokens.shape)
    count = round(SHARES[corruption.severity - 1] * int(may_change.sum()))
    found, places = tokens.copy(), np.argsort(scores, kind="stable")[:count]
    found[places] = mask if corruption.name == "masked_tokens" else drawn[places]
    return {**example, "tokens": found}
