"""The benchmark measures the trainer's own step; its numbers are consistent."""

import jax.numpy as jnp
import pytest

from maskjax.tools import benchmark


def test_a_config_is_timed_with_consistent_numbers(load_config):
    config = load_config("mae", "smoke", num_devices=1)
    timing = benchmark.time_step(config, (8, 8, 1), repeats=3, peak=1e9)
    assert timing.batch_size == 16
    assert 0 < timing.fastest_seconds <= timing.step_seconds
    assert timing.examples_per_second == pytest.approx(16 / timing.step_seconds)
    assert timing.share_of_peak == pytest.approx(timing.flops_per_second / 1e9)
    assert timing.memory_bytes > 2**20
    columns = benchmark.header(1e9).splitlines()[1]
    line = benchmark.row(timing)
    assert len(line) == len(columns)
    assert f"{1e3 * timing.step_seconds:.1f}" in line


def test_the_peak_is_that_of_what_is_computed_in(load_config):
    assert benchmark.compute_dtype(load_config("mae", "imagenet_vit_b16")) == "bfloat16"
    assert benchmark.compute_dtype(load_config("vectors", "smoke")) == "float32"


def test_shape_comes_from_the_config_where_it_says_so(load_config):
    assert benchmark.example_shape(load_config("mae", "imagenet_vit_b16")) == (224, 224, 3)
    assert benchmark.example_shape(load_config("mae", "smoke")) == (8, 8, 1)


def test_data_that_are_no_arrays_are_refused(load_config):
    with pytest.raises(ValueError, match="task 'bert4rec' learns from histories of up to 12"):
        benchmark.example_shape(load_config("bert4rec", "smoke"))


def test_batch_sizes_are_checked_rather_than_the_configs_own(load_config):
    config = load_config("mae", "smoke", batch_size=0, num_devices=2)
    benchmark.check(config, (8, 8, 1), [2, 4])
    assert config.batch_size == 0
    with pytest.raises(ValueError, match="batch_size 3 does not divide"):
        benchmark.check(config, (8, 8, 1), [2, 3])
    with pytest.raises(ValueError, match="batch_size is 2147483648: it must be"):
        benchmark.check(config, (8, 8, 1), [2, 2**31])


@pytest.mark.parametrize("task", ["classify", "regress"])
def test_what_learns_from_labels_is_timed_without_any(load_config, task):
    benchmark.check(load_config("finetune", "smoke", task=task), (8, 8, 1), [16])


def test_a_learning_rate_that_does_not_fit_a_batch_size_can_be_timed(load_config):
    config = load_config("mae", "smoke", num_devices=1, **{"optimizer.min_lr": 1e-5})
    config.batch_size = 1  # so that the peak is below
    benchmark.check(config, (8, 8, 1), [1])
    assert benchmark.time_step(config, (8, 8, 1), repeats=1, peak=1e9).batch_size == 1


def test_shape_is_read_from_data_of_fewer_examples_than_a_batch(load_config):
    config = load_config("mae", "smoke", batch_size=10**6)
    assert benchmark.example_shape(config) == (8, 8, 1)


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
