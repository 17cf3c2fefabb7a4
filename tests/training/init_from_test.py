"""A new run goes on from the state of another, or is told what does not fit."""

import dataclasses
import json
import shutil
import types

import jax
import numpy as np
import pytest

from maskjax import workdir
from maskjax.interop import sparse
from maskjax.training import init_from
from maskjax.training import run as runs
from maskjax.workdir.leaves import params_sha256

# At a constant rate the length of a run does not change its steps.
CONSTANT = {"optimizer__warmup_steps": 0, "optimizer__min_lr": 0.5 * 8 / 256}


@pytest.fixture(scope="module")
def begun(toy, tmp_path_factory):
    """A run of 6 steps at a constant rate."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    toy.fit(folder, toy.config(total_steps=6, optimizer__ema_decay=0.5, **CONSTANT))
    return folder


def _config(toy, begun, what, **overrides):
    chosen = {"init_from__path": str(begun), "init_from__what": what, **CONSTANT, **overrides}
    return toy.config(**chosen)


def _started(toy, config):
    """The state that a run with this config starts with, its record and its line."""
    fresh = jax.device_put(runs.initial_state(toy.Task(), config), jax.devices()[0])
    return init_from.start(fresh, config, lambda step, factor: 0.25)


def test_a_longer_run_goes_on_with_all_of_the_state(toy, begun, tmp_path, capsys):
    ema = {"optimizer__ema_decay": 0.5}
    straight = toy.fit(tmp_path / "straight", toy.config(total_steps=12, **ema, **CONSTANT))
    config = _config(toy, begun, "all", total_steps=12, **ema)
    capsys.readouterr()
    longer = toy.fit(tmp_path / "longer", config)
    assert longer["params_sha256"] == straight["params_sha256"]
    assert [line["step"] for line in toy.lines(tmp_path / "longer")] == [8, 10, 12, 12, 12]
    said = capsys.readouterr().out
    assert f"longer: starts at step 6 of 12 from step 6 of {begun} (all)" in said
    assert "learning rate 0.0156 now, 0.0156 at the end" in said
    record = json.loads((tmp_path / "longer" / workdir.CONFIG).read_text())["init_from"]
    loaded = json.loads((begun / workdir.SUMMARY).read_text())["params_sha256"]
    whence = {"path": str(begun), "step": 6, "what": "all", "params_sha256": loaded}
    assert record == whence


def test_a_run_stopped_after_its_start_needs_the_other_no_more(toy, begun, tmp_path):
    other = shutil.copytree(begun, tmp_path / "other")
    config = _config(toy, other, "params", total_steps=3, save_every_steps=0)
    straight = toy.fit(tmp_path / "straight", config)

    class Broken(toy.Data):
        def train_batches(self, start_step):
            raise ValueError("no batch")
            yield

    with pytest.raises(ValueError, match="no batch"):
        toy.fit(tmp_path / "run", config, data=Broken(8))
    shutil.rmtree(other)
    assert toy.fit(tmp_path / "run", config)["params_sha256"] == straight["params_sha256"]


def test_parameters_alone_start_at_step_0(toy, begun):
    state, record, line = _started(toy, _config(toy, begun, "params", optimizer__ema_decay=0.5))
    saved = runs.load_state(toy.Task(), toy.config(optimizer__ema_decay=0.5), begun)
    assert int(state.step) == 0
    assert np.any(saved.params["kernel"] != saved.ema_params["kernel"])
    np.testing.assert_array_equal(state.params["kernel"], saved.ema_params["kernel"])  # was judged
    np.testing.assert_array_equal(state.ema_params["kernel"], saved.ema_params["kernel"])
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(state.opt_state))
    assert (record["step"], record["what"], record["averages"]) == (6, "params", True)
    assert "starts at step 0 of 12 from the moving averages at step 6 of" in line
    raw = _config(toy, begun, "params", init_from__averages=False, optimizer__ema_decay=0.5)
    state, record, line = _started(toy, raw)
    np.testing.assert_array_equal(state.params["kernel"], saved.params["kernel"])
    np.testing.assert_array_equal(state.ema_params["kernel"], saved.params["kernel"])
    assert "averages" not in record
    assert "from step 6 of" in line


def test_tables_of_positions_are_resampled_for_another_size(toy, begun):
    class Other(toy.Task):
        architecture = types.SimpleNamespace(grid=(2, 6))

        def init(self, key):
            return super().init(key) | {
                "encoder": {"positions": {"table": np.zeros((1, 12, 1), np.float32)}}
            }

    config = _config(toy, begun, "params")
    fresh = jax.device_put(runs.initial_state(Other(), config), jax.devices()[0])
    table = np.array([[1.0], [5.0], [2.0], [6.0], [3.0], [7.0]], np.float32)[None]  # of 3 x 2
    saved = {**jax.device_get(fresh.params), "encoder": {"positions": {"table": table}}}
    task, options = Other(), config.init_from
    state, strays = init_from._merge(fresh, {"params": saved}, options, begun, task, (3, 2))
    found = np.asarray(state.params["encoder"]["positions"]["table"]).reshape(2, 6)
    # A ramp by rows, and one by columns: bicubic keeps what is linear but near the border.
    assert found.mean() == pytest.approx(table.mean(), abs=1e-5)
    assert (found[1] - found[0] > 0.5).all()
    assert found[0, 5] - found[0, 0] == pytest.approx(4, abs=1)
    assert strays == {"resampled from 3x2 to 2x6": ["encoder/positions/table"]}
    with pytest.raises(ValueError, match=r"has in another shape encoder/positions/table"):
        init_from._merge(fresh, {"params": saved}, options, begun, task)


def test_averages_may_be_new_or_left_out(toy, begun, tmp_path, caplog):
    without, *_ = _started(toy, _config(toy, begun, "all"))
    assert without.ema_params is None
    assert "averaged parameters; they are left out" in caplog.text
    toy.fit(tmp_path / "plain", toy.config(total_steps=1))
    config = _config(toy, tmp_path / "plain", "all", optimizer__ema_decay=0.5)
    with_average, *_ = _started(toy, config)
    np.testing.assert_array_equal(with_average.ema_params["bias"], with_average.params["bias"])


def test_a_run_of_skipped_steps_is_not_held_against_the_new_one(toy, begun):
    saved = runs.load_state(toy.Task(), toy.config(optimizer__ema_decay=0.5), begun)
    skipped = dataclasses.replace(saved, nonfinite_run=np.int32(7), nonfinite_total=np.int32(9))
    fresh = runs.initial_state(toy.Task(), toy.config())
    saved = init_from.serialization.to_state_dict(skipped)
    options = _config(toy, begun, "all").init_from
    state, _ = init_from._merge(fresh, saved, options, begun)
    assert (int(state.nonfinite_run), int(state.nonfinite_total)) == (0, 9)


def test_what_does_not_fit_is_named_on_both_sides(toy, begun):
    class Other(toy.Task):
        def init(self, key):
            wide = super().init(key)
            return {"kernel": np.zeros((6, 9), np.float32), "scale": wide["bias"]}

    config = _config(toy, begun, "params")
    fresh = jax.device_put(runs.initial_state(Other(), config), jax.devices()[0])
    words = (
        r"params does not fit .*lacks scale, has besides bias, has in another shape "
        r"kernel float32\[6, 6\], here float32\[6, 9\]; set the same model keys"
    )
    with pytest.raises(ValueError, match=words):
        init_from.start(fresh, config, lambda step, factor: 0.25)


def test_a_run_that_was_made_smaller_says_what_to_set(toy, begun, tmp_path):
    other = shutil.copytree(begun, tmp_path / "other")
    record = json.loads((other / workdir.CONFIG).read_text())
    record["config"]["model"] = {"heads": 2, "kept": [[1, 3]]}
    (other / workdir.CONFIG).write_text(json.dumps(record))

    class Other(toy.Task):
        def init(self, key):
            return {"kernel": np.zeros((6, 9), np.float32), "bias": super().init(key)["bias"]}

    config = _config(toy, other, "params").unlock()
    config.model = {"heads": 2, "kept": ()}
    fresh = jax.device_put(runs.initial_state(Other(), config), jax.devices()[0])
    with pytest.raises(ValueError, match="has in another shape kernel") as found:
        init_from.start(fresh, config, lambda step, factor: 0.25)
    assert found.value.__notes__ == ["there the model has model.kept=((1, 3),) in place of ()"]


def test_a_sparse_file_is_taken_as_a_run_is(toy, tmp_path):
    kernel = np.where(np.arange(36) % 3, 0, 1.5).astype(np.float32).reshape(6, 6)
    sparse.write(tmp_path, {"kernel": kernel, "bias": np.zeros(6, np.float32)}, {})
    state, record, line = _started(toy, _config(toy, tmp_path, "params"))
    np.testing.assert_array_equal(state.params["kernel"], kernel)
    assert (record["format"], record["what"]) == ("sparse", "params")
    assert f"from sparse weights {tmp_path / 'model.safetensors'}" in line
    sparse.write(tmp_path, {"kernel": kernel[:4]}, {})
    with pytest.raises(ValueError, match=r"lacks bias, has in another shape kernel float32\[4, 6"):
        _started(toy, _config(toy, tmp_path, "params"))


def test_a_head_of_other_classes_begins_anew_once_it_is_skipped(toy, begun):
    class Other(toy.Task):
        def init(self, key):
            return super().init(key) | {"bias": np.full(9, 7, np.float32)}

    def started(**options):
        config = _config(toy, begun, "params", **options)
        fresh = jax.device_put(runs.initial_state(Other(), config), jax.devices()[0])
        return init_from.start(fresh, config, lambda step, factor: 0.25)

    words = r"another shape bias float32\[6\], here float32\[9\]; .* name these leaves in .*skip"
    with pytest.raises(ValueError, match=words):
        started()
    state, record, _ = started(init_from__skip=("^bias$",))
    np.testing.assert_array_equal(state.params["bias"], np.full(9, 7))
    assert record["begins anew"] == record["left out"] == ["bias"]


def test_a_run_that_is_over_says_to_raise_total_steps(toy, begun):
    with pytest.raises(ValueError, match="at step 6, and total_steps is 6: raise total_steps"):
        _started(toy, _config(toy, begun, "all", total_steps=6))


def test_a_folder_without_a_run_is_refused(toy, tmp_path):
    with pytest.raises(FileNotFoundError, match="has no checkpoints: give the --workdir of a run"):
        _started(toy, _config(toy, tmp_path, "all"))
    (tmp_path / workdir.CHECKPOINTS).mkdir()
    with pytest.raises(FileNotFoundError, match="no whole checkpoint yet"):
        _started(toy, _config(toy, tmp_path, "all"))


def test_leaves_may_begin_anew_or_have_another_name(toy, begun):
    class Other(toy.Task):
        """Weights of another name, one more leaf, and no bias."""

        def init(self, key):
            old = super().init(key)
            return {"head": {"weight": old["kernel"] * 3}, "extra": old["bias"] + 7}

    options = {
        "init_from__rename": (("^kernel$", "head/weight"),),
        "init_from__skip": ("^extra", "bias"),
    }
    config = _config(toy, begun, "params", **options)
    fresh = jax.device_put(runs.initial_state(Other(), config), jax.devices()[0])
    state, record, _ = init_from.start(fresh, config, lambda step, factor: 0.25)
    before = runs.load_state(toy.Task(), toy.config(optimizer__ema_decay=0.5), begun).ema_params
    np.testing.assert_array_equal(state.params["head"]["weight"], before["kernel"])
    np.testing.assert_array_equal(state.params["extra"], np.full(toy.WIDTH, 7.0))
    assert record["params_sha256"] == params_sha256(state.params)


def test_a_task_says_which_leaves_need_not_be_on_both_sides(toy, begun):
    class Other(toy.Task):
        """A new head in place of the bias."""

        begins_anew, leaves_out = ("^head/", "^kernel"), ("^bias$", "^kernel")

        def init(self, key):
            old = super().init(key)
            return {"kernel": old["kernel"], "head": {"bias": old["bias"] + 7}}

    config = _config(toy, begun, "params")
    fresh = jax.device_put(runs.initial_state(Other(), config), jax.devices()[0])
    state, record, line = init_from.start(fresh, config, lambda step, factor: 0.25, Other())
    before = runs.load_state(toy.Task(), toy.config(optimizer__ema_decay=0.5), begun).ema_params
    np.testing.assert_array_equal(state.params["head"]["bias"], np.full(toy.WIDTH, 7.0))
    np.testing.assert_array_equal(state.params["kernel"], before["kernel"])  # is on both sides
    assert (record["begins anew"], record["left out"]) == (["head/bias"], ["bias"])
    assert line.endswith("at the end; begins anew: head/bias; left out: bias")
    with pytest.raises(ValueError, match="lacks head/bias, has besides bias; set the same model"):
        init_from.start(fresh, config, lambda step, factor: 0.25)


@pytest.mark.parametrize(
    ("what", "options", "message"),
    [
        ("params", {"init_from__skip": ("decoder",)}, "init_from.skip 'decoder' is found in none"),
        ("params", {"init_from__rename": ("kernel",)}, r"rename holds 'kernel': give pairs, as in"),
        ("params", {"init_from__rename": (("a$", "b"),)}, "init_from.rename 'a.' is found in none"),
        ("params", {"init_from__rename": (3,)}, "rename holds 3: give pairs, as in"),
        (
            "params",
            {"init_from__rename": (("bias", 3),)},
            r"holds \('bias', 3\): give pairs",
        ),
        ("params", {"init_from__rename": (("bias", r"\9"),)}, r"'..9' cannot stand .* reference 9"),
        ("params", {"init_from__rename": (("bias", r"\g<x>"),)}, "cannot stand .* group name 'x'"),
        ("params", {"init_from__rename": ((".*", "x"),)}, "gives two leaves the same path"),
        ("params", {"init_from__rename": (("bias", "b"),)}, "lacks bias.* init_from.skip"),
        ("all", {"init_from__skip": ("bias",)}, "are for parameters: set init_from.what=params"),
    ],
)
def test_rules_that_do_not_fit_are_refused(toy, begun, what, options, message):
    with pytest.raises(ValueError, match=message):
        _started(toy, _config(toy, begun, what, total_steps=12, **options))


@pytest.mark.parametrize(
    ("name", "value"), [("skip", ("bias",)), ("rename", (("a", "b"),)), ("state", "best")]
)
def test_rules_without_a_run_to_start_from_are_refused(toy, name, value):
    with pytest.raises(ValueError, match=rf"init_from.{name}=.*changes nothing: set init"):
        init_from.check(toy.config(**{f"init_from__{name}": value}).init_from)
    init_from.check(toy.config(**{f"init_from__{name}": value, "init_from__path": "a"}).init_from)
    init_from.check(toy.config().init_from)


def test_a_run_with_other_heads_is_refused(toy, begun, tmp_path):
    other = shutil.copytree(begun, tmp_path / "other")
    record = json.loads((other / workdir.CONFIG).read_text())
    record["config"]["model"] = {"heads": 2}
    (other / workdir.CONFIG).write_text(json.dumps(record))
    config = _config(toy, other, "params").unlock()
    config.model = {"heads": 4}
    with pytest.raises(ValueError, match="has 2 attention heads where this model has 4: set model"):
        _started(toy, config)
