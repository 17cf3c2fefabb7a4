"""Two corruptions of texts at five severities, to judge what was learned on clean ones.

Special tokens and padding stay as they are. What is drawn is the same at every severity of an
example: a larger share contains the smaller.

| severity | 1 | 2 | 3 | 4 | 5 | of |
|---|---|---|---|---|---|---|
| random_tokens | .05 | .1 | .15 | .2 | .3 | share of the tokens that become any ordinary one |
| masked_tokens | .05 | .1 | .15 | .2 | .3 | share of the tokens that become the mask token |
"""

import numpy as np

from maskjax.data.corruption import Corruption
from maskjax.typing import Bool, Int

NAMES = ("random_tokens", "masked_tokens")
SHARES = (0.05, 0.1, 0.15, 0.2, 0.3)  # from severity 1 on


def corrupt(
    tokens: Int[np.ndarray, "L"],
    is_special: Bool[np.ndarray, "L"],
    corruption: Corruption,
    id: int,
    ordinary: Int[np.ndarray, "n"],
    mask: int,
) -> Int[np.ndarray, "L"]:
    """Corrupt one row, the same way at every call.

    Args:
        tokens: of a row.
        is_special: what stays: special tokens and padding.
        corruption: its name is one of `NAMES`.
        id: of the example.
        ordinary: ids that are no special tokens.
        mask: id of the mask token.

    Returns:
        Tokens of which the severity's share of those that may change, rounded, are others; among
        random ones each ordinary token is as likely, that which was there too.
    """
    rng = np.random.default_rng((NAMES.index(corruption.name), corruption.seed, id))
    scores = np.where(is_special, np.inf, rng.random(tokens.shape))
    drawn = rng.choice(ordinary, tokens.shape)
    count = round(SHARES[corruption.severity - 1] * int((~is_special).sum()))
    found, places = tokens.copy(), np.argsort(scores, kind="stable")[:count]
    found[places] = mask if corruption.name == "masked_tokens" else drawn[places]
    return found
