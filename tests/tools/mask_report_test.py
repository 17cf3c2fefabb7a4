"""What is said of a run's weights: sparsity, overlap with other runs, what each leaf is worth."""

import json
import types
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.tasks.task import Sums
from maskjax.tools import mask_report
from maskjax.tools.saved import Saved
from maskjax.workdir.masks import write_masks

WEIGHTS = {"a": {"kernel": jnp.array([[1.0, 2.0], [3.0, 4.0]])}, "b": {"kernel": jnp.ones((1, 2))}}


class Task:
    """A loss that is the sum of the weights, at every example."""

    def loss(self, params, batch, context):
        total = params["a"]["kernel"].sum() + 10 * params["b"]["kernel"].sum()
        ones = batch["is_valid"].astype(jnp.float32).sum()
        return Sums(total * ones, ones)


@pytest.fixture
def run(tmp_path):
    """A run that keeps two weights of the first leaf, and all of the second."""
    masks = {"a": {"kernel": jnp.array([[True, True], [False, False]])}, "b": {"kernel": None}}
    masked = types.SimpleNamespace(masks=masks)
    state = types.SimpleNamespace(step=3, param_masks=masked, eval_params=WEIGHTS, memory=())
    one = {"is_valid": np.array([True, True, False]), "id": np.arange(3, dtype=np.int32)}
    data = types.SimpleNamespace(eval_batches=lambda *_: [one, one], on_device=lambda batch: batch)
    config = types.SimpleNamespace(seed=0, total_steps=3, eval=types.SimpleNamespace(batch_size=3))
    return Saved(tmp_path / "run", config, data, Task(), state)


def test_a_leaf_that_a_column_lacks_has_an_empty_row(run, tmp_path, monkeypatch):
    drawn = {}
    panel = mask_report.comparison_panel
    keep = lambda values, title: drawn.update(values) or panel(values, title=title)  # noqa: E731
    monkeypatch.setattr(mask_report, "comparison_panel", keep)
    other = {"a": {"kernel": None}, "b": {"kernel": np.array([[True, False]])}}
    write_masks(tmp_path, other)
    mask_report.report(run, tmp_path / "out", against=[str(tmp_path)], sensitivity=[0.5])
    found = {name: [*map(len, column.values())] for name, column in drawn.items()}
    assert [*found.values()] == [[1, 0], [0, 0], [1, 1]]  # of leaves a and b
    assert {tuple(column) for column in drawn.values()} == {("a/kernel", "b/kernel")}


def test_leaves_are_listed_with_sparsity_overlap_and_what_the_rest_makes(run, tmp_path):
    other = {"a": {"kernel": np.array([[True, False], [True, False]])}, "b": {"kernel": None}}
    (tmp_path / "other").mkdir()
    write_masks(tmp_path / "other", other)
    paths = mask_report.report(
        run, tmp_path / "out", against=[str(tmp_path / "other")], sensitivity=[0.5]
    )
    assert [path.name for path in paths] == ["sparsity.md", "sparsity.png", "weights.png"]
    assert all(path.stat().st_size for path in paths)
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in paths[0].read_text().splitlines()
    ]
    assert head == [
        "leaf",
        "weights",
        "sparsity",
        "overlap, other",
        "loss, 50% of it hidden (30 of none)",
    ]
    # Of 1 + 2 + 3 + 4 + 10 * 2 are left 3 + 4 + 20, or, of equals, the first: 10 + 10.
    assert rows == [
        ["a/kernel", "4", "0.5000", "0.3333", "27.0000"], ["b/kernel", "2", "", "", "20.0000"]
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"--sensitivity \(1.0,\): give shares above 0 and below"):
        mask_report.report(run, tmp_path, sensitivity=[1.0])


def test_runs_of_equal_names_have_a_column_each(run, tmp_path):
    folders = [str(tmp_path / seed / "rigl") for seed in ("seed0", "seed1")]
    for folder, kept in zip(folders, (True, False)):
        Path(folder).mkdir(parents=True)
        write_masks(Path(folder), {"a": {"kernel": np.array([[True, kept], [False, False]])}})
    (table, *_) = mask_report.report(run, tmp_path / "out", against=folders)
    head, _, row = table.read_text().splitlines()
    cells = dict(zip(*([cell.strip() for cell in line.split("|")] for line in (head, row))))
    found = [cells[f"overlap, {folder}"] for folder in folders]
    assert found == ["1.0000", "0.5000"]
    with pytest.raises(FileNotFoundError, match=r"--against '.*none' is not there"):
        mask_report.report(run, tmp_path / "out", against=[str(tmp_path / "none")])


def test_runs_of_another_model_are_refused(run, tmp_path):
    write_masks(tmp_path, {"a": {"kernel": np.ones((3, 3), bool)}, "c": None})
    with pytest.raises(ValueError, match=r"--against .*: none of its masks is of a leaf of this"):
        mask_report.report(run, tmp_path / "out", against=[str(tmp_path)])


def test_what_changed_since_older_checkpoints_and_from_line_to_line_is_told(
    run, tmp_path, monkeypatch
):
    before = {"a/kernel": np.array([[True, False], [True, False]])}  # two of four are others now
    monkeypatch.setattr(mask_report, "_of_before", lambda _: [("step 2", before)])
    run.folder.mkdir()
    lines = [{"step": step, "split": "train", "mask_changes/a/kernel": 0.25} for step in (1, 2, 3)]
    (run.folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    paths = mask_report.report(run, tmp_path / "out")
    assert paths[-1].name == "mask_changes.png"
    assert paths[-1].stat().st_size
    head, _, row = paths[0].read_text().splitlines()
    cells = dict(zip(*([cell.strip() for cell in line.split("|")] for line in (head, row))))
    assert cells["changed since step 2"] == "0.5000"
    assert cells["overlap, step 2"] == "0.3333"
    assert cells["changes a weight, in all lines"] == "0.7500"


def test_nothing_is_written_of_a_run_without_masks(run, tmp_path):
    run.state.param_masks = ()
    assert mask_report.report(run, tmp_path) == []
