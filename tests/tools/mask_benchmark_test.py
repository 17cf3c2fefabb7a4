"""Masks are timed rule by rule, and against a step whose time is scaled to their batch."""

import pytest

from maskjax import masking
from maskjax.models.sizes import Size
from maskjax.tools import benchmark, mask_benchmark

TEXTS = mask_benchmark.Texts(batch_size=4, length=12, size=Size(8, 1, 2), vocabulary=20)


@pytest.fixture
def lines(load_config, monkeypatch):
    """The report of three rules on images and three on texts, and one rule more that cannot run."""

    @masking.register("of_another_world")
    def of_another_world(key, grid, num_masked, *, unknown_to_all):
        return unknown_to_all

    images = ["hierarchical", "of_another_world", "random", "sliding"]  # "random": the config's
    rules_on = masking.rules_on
    monkeypatch.setattr(
        masking, "rules_on", lambda on: images if on == "image" else rules_on(on)[:3]
    )
    config = load_config("mae", "smoke", num_devices=1)
    try:
        yield list(
            mask_benchmark.report(
                config, (8, 8, 1), step_batch_size=2, repeats=1, num_images=6, texts=TEXTS
            )
        )
    finally:
        del masking.RULES["of_another_world"]


def test_every_rule_has_a_row_and_what_cannot_run_says_why(lines):
    rows = {line.split()[0]: line.split()[1:] for line in lines if line and line[0].islower()}
    for name in ("hierarchical", "random", "sliding", *masking.rules_on("text")[:3]):
        milliseconds, share = float(rows[name][0]), float(rows[name][1].rstrip("%"))
        assert milliseconds > 0
        assert share > 0
    assert rows["of_another_world"][:2] == ["-", "-"]
    assert "needs unknown_to_all" in " ".join(rows["of_another_world"])
    assert any("6 images of 4 x 4 patches" in line for line in lines)
    assert any("4 texts of 12 tokens" in line for line in lines)


def test_the_share_is_of_the_step_scaled_by_examples():
    timings = [mask_benchmark.MaskTiming("fast", 0.004), mask_benchmark.MaskTiming("slow", 0.1)]
    table = list(mask_benchmark._table("images", 100, 0.01, iter(timings)))
    assert "their step takes 1000 ms" in table[1]
    assert table[3].split() == ["fast", "4.00", "0.40%"]
    assert table[4].split() == ["slow", "100.00", "10.00%", "too", "slow"]


def test_the_median_counts_and_each_text_hides_its_share(monkeypatch):
    drawn = []
    monkeypatch.setattr(masking, "rules_on", lambda on: ["random"])
    monkeypatch.setattr(
        benchmark, "sorted_seconds", lambda call, repeats: drawn.append(call()) or [0.5, 2.0, 9.0]
    )
    draw = lambda rule: mask_benchmark._text_masks(TEXTS, rule)  # noqa: E731
    (timing,) = mask_benchmark.time_rules("text", draw, 3)
    assert timing == ("random", 2.0, "")
    is_masked = drawn[0]
    assert is_masked.shape == (4, 12)
    assert set(is_masked.sum(axis=1).tolist()) <= {1, 2}
