"""Pictures of a run."""

import numpy as np
from matplotlib.figure import Figure

from maskjax import data as data_layer
from maskjax import evaluation, masking, tasks
from maskjax.training import draw


def test_the_sheet_shows_every_rule_for_images_with_the_runs_count(load_config, monkeypatch):
    config = load_config("mae", "smoke")
    data = data_layer.build(config.data, seed=0, batch_size=16)
    task = tasks.build(config, data)
    shown = {}

    def rule_sheet(image, masks, patch_size):
        shown.update(masks)
        return Figure()

    monkeypatch.setattr(evaluation, "rule_sheet", rule_sheet)
    draw.rules(task, np.full(data.shape, 0.5, np.float32), config)
    assert set(shown) == set(masking.rules_on("image"))
    for name, is_masked in shown.items():
        assert (is_masked.sum((1, 2)) == 12).all(), name
