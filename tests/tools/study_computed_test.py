"""Studies that are computed: all seeds of a setting in one call; the linear model of tutorials."""

import json
import re

import jax
import numpy as np
import pytest

from maskjax.evaluation import linear_masks
from maskjax.tools import study, study_computed, study_report

SAID = """
import numpy

def get_study(variant=""):
    def compute(seeds, *, count):
        if count == "odd":
            return {"error": [1.0]}
        return {"error": [seed * count / 10 for seed in seeds]}

    return {
        "compute": compute,
        "axes": {"count": (1, 2)},
        "seeds": range(21),
        "metrics": {"error": "min"},
        "baseline": {"count": 1},
        "claims": {"error": 0.5},
    } | eval(variant or "{}")
"""


@pytest.fixture
def write(tmp_path):
    """`write("{'seeds': (0,)}")`: a study with that changed."""
    (tmp_path / "of_mine.py").write_text(SAID)
    return lambda changes="": study.load(f"{tmp_path / 'of_mine.py'}:{changes}")


def test_it_leaves_every_number_a_table_with_quantiles_and_the_best(write, tmp_path):
    mine, folder = write(), tmp_path / "out"
    study_computed.run(mine, folder)
    text = study_report.write(mine, folder, {})
    # 0 to 2 and 0 to 4 in steps of .1 and .2: their differences are 0 to 2.
    assert re.search(r"\| count=1 \| 21 \| 1 ± 0.62 \|  \|  \|", text)
    assert re.search(r"\| count=2 \| 21 \| 2 ± 1.2 \| \*\*\+1 \[.*\]\*\* \| count=1 \|", text)
    assert "| setting | seeds | 0% | 5% | 50% | 95% | 100% | share below 0.5 |" in text
    assert f"| count=2 | 21 | 0 | 0.2 | 2 | 3.8 | 4 | {3 / 21:.3g} |" in text
    best = json.loads((folder / study_report.BEST).read_text())
    assert (best["setting"], best["value"]) == ("count=1", 0.0)
    assert best["mean"] == pytest.approx(1.0)
    assert not {"command", "workdir"} & set(best)
    assert (folder / study_report.PLOT).exists()
    assert not (folder / study_report.COMMANDS).exists()


def test_what_cannot_be_computed_is_refused(write, tmp_path):
    with pytest.raises(ValueError, match="--part=1/2: a study that is computed takes seconds"):
        study_computed.run(write(), tmp_path / "out", "1/2")
    study_computed.run(write(), tmp_path / "out")
    with pytest.raises(ValueError, match="belongs to another study"):
        study_computed.run(write()._replace(name="other"), tmp_path / "out")
    with pytest.raises(ValueError, match=r"'count=odd'.* gives 'error' as \(1,\) and not a number"):
        study_computed.run(write("{'axes': {'count': ('odd',)}, 'baseline': ''}"), tmp_path / "odd")
    for changes, message in (
        ("{'compute': 3}", "compute is 3: give a function of seeds"),
        ("{'base': 'a.py'}", "trains no runs: leave 'base' out"),
        ("{'claims': {'errors': 1.0}}", "unknown metric in claims 'errors' .did you mean 'error'"),
        ("{'claims': {'error': 'low'}}", "claims is .* give a dict of metrics and numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            write(changes)


@pytest.mark.parametrize(
    "mask",
    [
        "input soft",
        "weights hard, stay hidden",
        "weights soft, hidden train",
        "weights hard, hidden train",
        "input hard, anew each epoch",
    ],
)
def test_the_linear_model_equals_a_slow_loop(mask):
    """Gradients of a mean square by hand, and NumPy's least squares."""
    found = linear_masks.compute([0, 3], mask=mask, data="structure")
    problem = linear_masks._problem(jax.random.key(3), mask, "structure")
    x, y, theta, bias = (np.asarray(each, np.float64) for each in problem[:4])
    inputs, weights, rates = (np.asarray(each, np.float64) for each in problem.masked[:3])
    seen, target = x[:10] * inputs[:10], y[:10]
    if mask.endswith("anew each epoch"):  # on average: half of each entry, and a fourth as variance
        penalty = np.diag((x[:10] ** 2).sum(0) ** 0.5 / 2)
        rows = np.column_stack([np.vstack([x[:10] / 2, penalty]), [1.0] * 10 + [0.0] * 5])
        rest = np.linalg.lstsq(rows, np.append(target, np.zeros(5)), rcond=None)[1]
        np.testing.assert_allclose(found["best"][1], rest[0] / 10, rtol=1e-4)
        return
    is_free = weights * rates != 0
    fixed = (seen * weights) @ np.where(is_free, 0, theta)
    rows = np.column_stack([(seen * weights)[:, is_free], np.ones(10)])
    least = np.linalg.lstsq(rows, target - fixed, rcond=None)[0]
    np.testing.assert_allclose(
        found["best"][1], np.square(rows @ least + fixed - target).mean(), rtol=1e-4
    )
    for epoch in range(101):
        errors = seen @ (theta * weights) + bias - target
        if epoch % 10 == 0:
            np.testing.assert_allclose(found[f"loss_{epoch}"][1], (errors**2).mean(), rtol=1e-4)
        if epoch < 100:
            slope = 2 / 10 * seen.T @ errors * weights * rates
            theta, bias = theta - 0.01 * slope, bias - 0.01 * 2 * errors.mean()
    whole = x[10:] @ (theta * weights) + bias - y[10:]
    np.testing.assert_allclose(found["held_out"][1], np.square(whole).mean(), rtol=1e-4)
    if mask.startswith("weights hard"):  # what the reading of the tutorials says of theta
        start = np.asarray(problem.theta)
        moved = theta != start
        assert (moved == is_free).all() if "hidden train" in mask else not moved[weights == 0].any()
