"""Paths are read as a shell would, and files are whole on whatever file system."""

import errno
import os

import pytest

from maskjax import paths


def test_home_and_variables_are_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("SCRATCH", "/scratch")
    for given, expected in (
        ("~/runs/first", "/home/ann/runs/first"),
        ("$SCRATCH/first", "/scratch/first"),
        ("${SCRATCH}/$HOME", "/scratch//home/ann"),
        ("runs/a~b", "runs/a~b"),
        ("C:\\runs", "C:\\runs"),
    ):
        assert str(paths.local_path(given, "--workdir")) == os.path.normpath(expected)


@pytest.mark.parametrize("address", ["gs://bucket/run", "s3://b/r", "az://b", "hdfs:/host/x"])
def test_what_is_not_on_this_machine_is_refused(address):
    with pytest.raises(ValueError, match=f"--workdir '{address}' is not on this machine: give a"):
        paths.local_path(address, "--workdir")


def test_what_cannot_be_expanded_is_refused(monkeypatch, tmp_path):
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(ValueError, match=r"--workdir '\$NOT_SET/run': \$NOT_SET is not set"):
        paths.local_path("$NOT_SET/run", "--workdir")
    with pytest.raises(ValueError, match="'~nobody_of_this_name/run': no such home folder"):
        paths.local_path("~nobody_of_this_name/run", "--workdir")
    odd = tmp_path / "gs:" / "$NOT_SET"
    odd.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for existing in (str(odd), "gs:/$NOT_SET"):
        assert paths.local_path(existing, "--workdir").is_dir()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL, errno.ENOSYS])
@pytest.mark.parametrize("call", ["fsync", "chmod"])
def test_a_file_system_need_not_offer_what_a_file_can_do_without(
    tmp_path, monkeypatch, call, number
):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(paths.os, call, refuse)
    with paths.atomic_file(tmp_path / "x") as file:
        file.write("all")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "all"


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "x").write_text("old")
    monkeypatch.setattr(paths.os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"), paths.atomic_file(tmp_path / "x") as file:
        file.write("new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"
