"""The Python blocks of the README run as they stand."""

import re
from pathlib import Path

import pytest

from maskjax import masking

BLOCKS = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.S
)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_runs(block, monkeypatch):
    # What a block registers is forgotten again.
    monkeypatch.setattr(masking.registry, "RULES", dict(masking.RULES))
    exec(block, {"__name__": "block"})


def test_there_are_blocks():
    assert len(BLOCKS) == 2
