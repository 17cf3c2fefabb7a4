"""What is said, wherever it goes."""

import io

import pytest

from maskjax.terminal import say


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", "Über M\\udcfcnchen.png\n"), ("ascii", "\\xdcber M\\udcfcnchen.png\n")],
)
def test_what_an_encoding_lacks_is_written_as_codes(encoding, written):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    say("Über M\udcfcnchen.png", stream)
    stream.seek(0)
    assert stream.read() == written
