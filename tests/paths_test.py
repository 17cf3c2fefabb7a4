"""Paths are read as a shell would, and files are whole on whatever file system."""

import errno
import os
from pathlib import Path

import pytest

from maskjax import paths, workdir
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


def test_a_workdir_alone_must_be_utf_8():
    name = os.fsdecode(b"M\xfcnchen")
    assert local_path(name, "--images") == Path(name)
    with pytest.raises(ValueError, match=r"workdir M\\udcfcnchen is not UTF-8"):
        workdir.check({}, local_path(name, "--workdir"))


def _refusing(number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL, errno.ENOSYS])
@pytest.mark.parametrize("call", ["fsync", "chmod"])
def test_a_file_can_do_without_what_its_file_system_does_not_offer(
    tmp_path, monkeypatch, call, number
):
    monkeypatch.setattr(paths.os, call, _refusing(number))
    with paths.atomic_file(tmp_path / "x") as file:
        file.write("all")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "all"


def test_whether_a_file_system_offers_fsync_is_found_out(tmp_path, monkeypatch):
    assert paths.can_sync(tmp_path)
    monkeypatch.setattr(paths.os, "fsync", _refusing(errno.EINVAL))
    assert not paths.can_sync(tmp_path)
    monkeypatch.setattr(paths.os, "fsync", _refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        paths.can_sync(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "x").write_text("old")
    monkeypatch.setattr(paths.os, "fsync", _refusing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"), paths.atomic_file(tmp_path / "x") as file:
        file.write("new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"
