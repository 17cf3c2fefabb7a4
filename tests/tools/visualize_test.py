"""Pictures of a run, from its folder alone."""

import numpy as np
import pytest

from maskjax import data as data_layer
from maskjax.evaluation.figures import panels
from maskjax.tools import visualize


def test_a_run_draws_reconstructions_rules_and_losses(smoke_run):
    names = {path.name for path in (smoke_run / "figures").glob("*.png")}
    assert names == {"reconstructions.png", "rules.png", "loss.png"}


def test_a_folder_is_enough_to_draw_a_run_again(smoke_run, monkeypatch):
    monkeypatch.setattr(panels.masking, "rules_on", lambda _: ("random",))  # not all once more
    before = (smoke_run / "figures" / "reconstructions.png").read_bytes()
    paths = visualize.draw_run(smoke_run)
    assert smoke_run / "figures" / "reconstructions.png" in paths
    assert (smoke_run / "figures" / "reconstructions.png").read_bytes() == before


def test_a_run_is_drawn_with_its_data_at_another_place(load_config, moved, drawn, tmp_path, caplog):
    folder = moved()
    with pytest.raises(FileNotFoundError, match=r"no such folder.*say where: --data="):
        visualize.draw_run(folder)
    paths = visualize.draw_run(folder, source="digits", out=tmp_path / "out")
    assert {path.name for path in paths} == {"reconstructions.png", "rules.png", "loss.png"}
    assert {path.parent for path in paths} == {tmp_path / "out"}
    digits = data_layer.build(load_config("mae", "smoke").data, seed=0, batch_size=1)
    stored = digits.processor.denormalise(digits.examples("validation", 2)["inputs"])
    np.testing.assert_allclose(drawn[0]["original"], stored, atol=1e-6)
    assert not caplog.text


def test_other_data_are_told_from_the_run_s_and_normalised_as_these(moved, drawn, tmp_path, caplog):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "dark.npz", x=rng.integers(0, 20, (30, 8, 8, 1), np.uint8))
    visualize.draw_run(moved(), source=f"array:{tmp_path / 'dark.npz'}", out=tmp_path / "out")
    assert "holds other data than those of the run" in caplog.text
    assert drawn[0]["original"].max() <= 19.01 / 255
    np.savez(tmp_path / "large.npz", x=np.zeros((30, 16, 16, 1), np.uint8))
    with pytest.raises(ValueError, match=r"shape \(16, 16, 1\), and the run's were .*\(8, 8, 1\)"):
        visualize.draw_run(tmp_path / "moved", source=f"array:{tmp_path / 'large.npz'}")


def test_what_cannot_be_drawn_is_named(smoke_run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"file cannot be written .*--out="):
        visualize.draw_run(smoke_run, out=tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="holds no run"):
        visualize.draw_run(tmp_path)
    with pytest.raises(ValueError, match=r"python launch/predict\.py --workdir=r --input=a\.png"):
        visualize.refuse_images("r", ["a.png"])
    with pytest.raises(ValueError, match=r"--input=a\.png --input=b$"):
        visualize.refuse_images("r", ["a.png, b"])
    visualize.refuse_images("r", [])
