"""Pictures of a run."""

from maskjax import data as data_layer
from maskjax import masking, tasks
from maskjax.training import draw, run


def test_the_sheet_shows_every_rule_for_images_with_the_runs_count(load_config):
    config = load_config("mae", "smoke")
    data = data_layer.build(config.data, seed=0, batch_size=16)
    task = tasks.build(config, data)
    state = run.initial_state(task, config)
    panel = draw.show(task, state, data.examples("validation", 1), config)["rules"]
    assert set(panel.options) == set(masking.rules_on("image"))
    assert (panel.num_masked, panel.patch_size) == (12, (2, 2))
    assert panel.options["sliding"] == {"stride": 1, "axis": -1}
