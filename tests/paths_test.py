"""Paths that a user gives."""

import os
from pathlib import Path

import pytest

from maskjax.paths import local_path


def test_home_and_variables_are_expanded_as_a_shell_would(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/of/tests")
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    assert local_path("~/runs/a", "--workdir") == Path("/home/of/tests/runs/a")
    assert local_path("$SCRATCH/a", "--workdir") == tmp_path / "a"
    assert local_path("${SCRATCH}/a  b", "--workdir") == tmp_path / "a  b"
    assert local_path("runs/a", "--workdir") == Path("runs/a")


def test_a_path_that_is_there_is_taken_as_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("SCRATCH", "elsewhere")
    for name in ("$SCRATCH.png", "$1_vs_$2.png", "a:b.png"):
        (tmp_path / name).touch()
        assert local_path(tmp_path / name, "--images") == tmp_path / name


@pytest.mark.parametrize(
    "address", ["gs://bucket/run", "s3://b/r", "az://b", "hdfs:/b", "file:///a"]
)
def test_addresses_of_stores_elsewhere_are_refused(address):
    with pytest.raises(ValueError, match=rf"--workdir '{address}' is not on this machine"):
        local_path(address, "--workdir")


def test_what_does_not_exist_is_named(monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(ValueError, match=r"--out '\$NOT_SET/a': \$NOT_SET is not set"):
        local_path("$NOT_SET/a", "--out")
    with pytest.raises(ValueError, match="no such home folder"):
        local_path("~nobody-of-this-name/a", "--out")


def test_names_that_are_not_utf_8_do_where_no_checkpoint_needs_them():
    name = os.fsdecode(b"M\xfcnchen")
    assert local_path(name, "--images") == Path(name)
    with pytest.raises(ValueError, match=r"M\\+udcfcnchen' is not UTF-8"):
        local_path(name, "--workdir", needs_utf8=True)
