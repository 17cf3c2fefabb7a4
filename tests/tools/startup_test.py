"""What every launcher sets up before JAX computes anything."""

import os
import platform
import subprocess
import sys

import pytest

from maskjax.tools import startup

SCRIPT = """
import jax
from maskjax.tools import startup
startup.prepare()
jax.jit(lambda x: (x @ x).sum())(jax.numpy.ones((64, 64))).block_until_ready()
"""


def test_compiled_programs_are_kept_for_the_next_start(tmp_path):
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True)
    assert list((tmp_path / "maskjax" / "xla").glob("*-cache"))


def test_numbers_are_float32_whatever_the_environment_says():
    check = "assert (jax.numpy.ones(1) + 0.5).dtype == 'float32'"
    environment = {**os.environ, "JAX_ENABLE_X64": "1"}
    subprocess.run([sys.executable, "-c", SCRIPT + check], env=environment, check=True)


def test_without_a_home_programs_are_kept_elsewhere(tmp_path, monkeypatch):
    kept = {}
    monkeypatch.setattr(startup.os.path, "expanduser", lambda path: path)  # no HOME, no passwd
    monkeypatch.setattr(startup.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(startup.jax.config, "update", kept.__setitem__)
    for name in ("JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    startup._enable_compilation_cache()
    assert kept["jax_compilation_cache_dir"].startswith(f"{tmp_path}/cache-of-")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_on_cpus_all_threads_share_the_heap_that_keeps_freed_memory():
    script = f"{SCRIPT}\nimport ctypes; ctypes.CDLL(None).malloc_stats()"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
    )
    assert [line for line in done.stderr.splitlines() if line.startswith("Arena")] == ["Arena 0:"]
