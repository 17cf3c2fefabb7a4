"""Speed: arithmetic on a clock that the test turns."""

import pytest

from maskjax.workdir import throughput


@pytest.fixture
def clock(monkeypatch):
    """A clock; add seconds to `clock[0]`."""
    now = [1000.0]
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now[0])
    return now


def _slow_batches(clock, seconds):
    while True:
        clock[0] += seconds
        yield "batch"


def test_rates_leave_out_compilation_and_pauses(clock):
    meter = throughput.Meter(
        batch_size=10, flops_per_example=2e12, num_devices=2, device_kind="NVIDIA A100-SXM4-40GB"
    )
    batches = _slow_batches(clock, 0.25)
    for _ in range(4):
        assert meter.next_batch(batches) == "batch"
        clock[0] += 0.75
    clock[0] += 3.0
    meter.leave_out(3.0)
    with meter.paused():
        clock[0] += 7.0
    assert meter.read() == {
        "step_seconds": pytest.approx(1.0),
        "examples_per_second": pytest.approx(10.0),
        "data_wait_share": pytest.approx(0.25),
        "flops_per_second": pytest.approx(20e12),
        "mfu": pytest.approx(20 / 624),
    }


def test_a_reading_starts_anew(clock):
    meter = throughput.Meter(batch_size=1, flops_per_example=None, num_devices=1, device_kind="cpu")
    meter.next_batch(_slow_batches(clock, 5.0))
    meter.read()
    meter.next_batch(_slow_batches(clock, 1.0))
    report = meter.read()
    assert report["step_seconds"] == pytest.approx(1.0)
    assert report["flops_per_second"] is None
    assert report["mfu"] is None


@pytest.mark.parametrize(
    ("kind", "tera"),
    [
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10G", 70),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA L4", 121),
        ("Tesla V100-SXM2-16GB", 125),
        ("TPU v3", 61.5),
        ("TPU v5 lite", 197),
        ("TPU v6 lite", 918),
    ],
)
def test_published_peaks_are_found_by_the_longest_name(kind, tera):
    assert throughput.peak_flops(kind) == tera * 1e12


def test_an_unknown_device_has_no_peak():
    assert throughput.peak_flops("cpu") is None
