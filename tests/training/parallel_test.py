"""Devices: the same numbers on any number of them, compiled once, never a forgotten sum."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.training import parallel, run
from maskjax.training.step import train_keys
from maskjax.workdir.masks import read_masks

SCRIPT = Path(__file__).with_name("toy.py")


def _environment(devices):
    count = f"--xla_force_host_platform_device_count={devices}"
    flags = f"{os.environ['ONE_DEVICE_XLA_FLAGS']} {count}"
    return dict(os.environ, XLA_FLAGS=flags, JAX_PLATFORMS="cpu")


def _start(folder, devices, **options):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), json.dumps(options)],
        env=_environment(devices),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _result(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def one_device(toy):
    """Losses and parameters of the reference: one device, without the loop."""
    metrics, state = toy.trajectory(toy.config())
    return [float(m["loss"]) for m in metrics], jax.device_get(state.params)


@pytest.mark.parametrize(
    ("num_devices", "global_arrays"), [(2, False), (4, False), (1, True), (4, True)]
)
def test_losses_do_not_depend_on_the_devices(toy, one_device, num_devices, global_arrays):
    config = toy.config(num_devices=num_devices)
    metrics, state = toy.trajectory(config, global_arrays=global_arrays)
    np.testing.assert_allclose([m["loss"] for m in metrics], one_device[0], rtol=1e-5)
    np.testing.assert_allclose(state.params["kernel"], one_device[1]["kernel"], rtol=1e-4)


def test_eight_devices_and_two_processes_of_two_agree_with_one(toy, tmp_path):
    port = toy.free_port()
    masks = {"param_masks__method": "rigl", "param_masks__every_steps": 3}
    config = {"num_devices": 0, "log_every_steps": 1, **masks}
    metrics, state = toy.trajectory(toy.config(**masks))
    losses = [m["loss"] for m in metrics]
    processes = [_start(tmp_path / "eight", 8, config=config)] + [
        _start(tmp_path / "two", 2, config=config, port=port, process=i, processes=2)
        for i in range(2)
    ]
    eight, first, second = (_result(process) for process in processes)
    np.testing.assert_allclose(eight["losses"], losses, rtol=1e-5)
    np.testing.assert_allclose(first["losses"], losses, rtol=1e-5)
    for folder in ("eight", "two"):
        kept = read_masks(str(tmp_path / folder))["kernel"]
        np.testing.assert_array_equal(kept, state.param_masks.masks["kernel"])
    assert first["params_sha256"] == second["params_sha256"]
    for name in ("validation_loss", "knn_accuracy", "linear_accuracy_pixels"):
        assert first[name] == pytest.approx(eight[name], rel=1e-5)


@pytest.mark.parametrize("num_devices", [1, 2, 4])
@pytest.mark.parametrize("global_arrays", [False, True])
def test_rows_and_keys_do_not_depend_on_the_devices(num_devices, global_arrays):
    spread = parallel.Spread(num_devices, global_arrays=global_arrays)

    def keys_and_row(at, batch):
        index = parallel.example_index(len(batch["x"]), spread.axis_name)
        keys = jax.random.key_data(train_keys(3, at, index))
        return jnp.concatenate([keys, batch["x"][:, None].astype(keys.dtype)], axis=1)

    program = spread.program(keys_and_row, rows_out=True)
    rows = spread.join(program(spread.replicate(jnp.int32(5)), spread.split({"x": np.arange(8)})))
    expected = jax.random.fold_in(jax.random.key(3), 5)
    for place, row in enumerate(rows):
        key = jax.random.key_data(jax.random.fold_in(expected, place))
        np.testing.assert_array_equal(row, [*np.asarray(key), place])


@pytest.mark.parametrize("num_devices", [1, 4])
def test_the_step_is_traced_and_compiled_once(toy, num_devices):
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    task, counts = toy.Task(), []
    toy.trajectory(
        toy.config(num_devices=num_devices, total_steps=5),
        task,
        on_step=lambda _: counts.append(len(compiled)),
    )
    assert task.loss_traces == 1
    assert counts[0] > 0
    assert len(set(counts)) == 1, "something was compiled after the first step"


def test_nothing_is_compiled_where_jit_is_disabled():
    seen = []

    def weighted(scale, rows):
        total = parallel.psum((scale * rows).sum(), spread.axis_name)
        seen.append(float(total))  # which no traced number could be
        return total

    with jax.disable_jit():
        spread = parallel.Spread(4)
        program = spread.program(weighted)
        scale = spread.replicate(jnp.float32(2.0))
        for _ in range(2):
            assert float(program(scale, spread.split(np.arange(8.0, dtype=np.float32)))) == 56
    assert seen == [56, 56]


def test_the_state_has_no_device_axis_and_is_donated(toy):
    config = toy.config(num_devices=4, total_steps=1)
    spread = parallel.Spread(4)
    state = spread.replicate(run.initial_state(toy.Task(), config))
    program = spread.program(run.make_step(toy.Task(), config, spread.axis_name), donate=True)
    batch = spread.split(next(toy.Data(config.batch_size).train_batches(0)))
    after, _ = program(state, batch)
    assert after.params["kernel"].shape == (toy.WIDTH, toy.WIDTH)
    assert state.params["kernel"].is_deleted()
    assert program.compile_seconds > 0


def _replicas_agree(tree):
    replicas = [[np.asarray(s.data) for s in x.addressable_shards] for x in jax.tree.leaves(tree)]
    return all(np.array_equal(copies[0], other) for copies in replicas for other in copies[1:])


def test_replicas_stay_equal_and_a_forgotten_sum_would_show(toy, monkeypatch):
    config = toy.config(num_devices=4, total_steps=4)
    _, state = toy.trajectory(config)
    assert len(state.params["kernel"].addressable_shards) == 4
    assert _replicas_agree(state)
    monkeypatch.setattr(parallel, "psum", lambda tree, axis_name: tree)
    _, state = toy.trajectory(config)
    assert not _replicas_agree(state)


def test_a_batch_that_does_not_divide_is_refused_with_what_would_do():
    with pytest.raises(ValueError, match=r"batch_size 10 .* 4 devices .* 8 or 12"):
        parallel.Spread(4).check_batch(10)
    with pytest.raises(ValueError, match=r"batch_size 2 .* set batch_size to 4"):
        parallel.Spread(4).check_batch(2)
    with pytest.raises(ValueError, match=r"2 devices x 3 accumulation steps"):
        parallel.Spread(2).check_batch(8, 3)
    parallel.Spread(2).check_batch(12, 3)
    with pytest.raises(ValueError, match=r"3 accumulation steps x groups of 2 rows: .* to 12 or"):
        parallel.Spread(2).check_batch(18, 3, 2)
    parallel.Spread(2).check_batch(12, 3, 2)


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(
        ValueError, match="num_devices is 5 but this process has 4: set it to 1 to 4, or 0"
    ):
        parallel.Spread(5)
