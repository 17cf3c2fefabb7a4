"""The Python blocks of the README and of the page on masks run as they stand."""

import re
from pathlib import Path

import pytest

from maskjax import masking

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "maskjax" / "masking" / "README.md"]
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_runs(block, monkeypatch):
    # What a block registers is forgotten again.
    monkeypatch.setattr(masking.registry, "RULES", dict(masking.RULES))
    exec(block, {"__name__": "block"})


def test_there_are_blocks():
    assert len(BLOCKS) >= 2
