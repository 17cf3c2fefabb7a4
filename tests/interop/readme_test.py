"""The page of this layer: its files are there, and all of them."""

import re
from pathlib import Path

from maskjax.interop import published
from maskjax.keys import KEYS

FOLDER = Path(published.__file__).parent
PAGE = (FOLDER / "README.md").read_text()


def test_every_file_is_listed_and_is_there():
    linked = set(re.findall(r"\]\((?!\.\.)([\w./]+)\)", PAGE))
    files = {path.name for path in FOLDER.iterdir() if not path.name.startswith("__")}
    assert linked == files - {"README.md"}


def test_every_format_and_way_to_change_channels_has_its_row():
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    chosen = {*KEYS["init_from.format"].choices, *KEYS["init_from.channels"].choices}
    assert rows == chosen - {"auto", ""}
    assert set(published.FORMATS) < rows
