"""The benchmark measures the trainer's own step; its numbers are consistent."""

import jax.numpy as jnp
import pytest

from maskjax.training import allocator, benchmark


def test_a_config_is_timed_with_consistent_numbers(load_config):
    config = load_config("mae", "smoke", num_devices=1)
    timing = benchmark.time_step(config, (8, 8, 1), repeats=3, peak=1e9)
    assert timing.batch_size == 16
    assert 0 < timing.fastest_seconds <= timing.step_seconds
    assert timing.images_per_second == pytest.approx(16 / timing.step_seconds)
    assert timing.share_of_peak == pytest.approx(timing.flops_per_second / 1e9)
    assert timing.memory_bytes > 2**20
    columns = benchmark.header(1e9).splitlines()[1]
    line = benchmark.row(timing)
    assert len(line) == len(columns)
    assert f"{1e3 * timing.step_seconds:.1f}" in line


def test_shape_comes_from_the_config_where_it_says_so(load_config):
    assert benchmark.example_shape(load_config("mae", "imagenet_vit_b16")) == (224, 224, 3)
    assert benchmark.example_shape(load_config("mae", "smoke")) == (8, 8, 1)


def test_seconds_are_sorted_and_as_many_as_asked_for():
    calls = []

    def step():
        calls.append(1)
        return jnp.zeros(())

    seconds = benchmark.sorted_seconds(step, 4)
    assert len(seconds) == 4
    assert len(calls) == 6
    assert seconds == sorted(seconds)


def test_matmul_peak_is_positive(monkeypatch):
    monkeypatch.setitem(benchmark._PEAK_SIDES, "cpu", 64)
    assert benchmark.matmul_peak("float32", repeats=1) > 0


def test_the_allocator_is_left_alone_without_glibc(monkeypatch):
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("musl", "1.2"))
    assert not allocator.keep_freed_memory()
