"""Every test runs on 4 fake CPU devices, with rank promotion an error and shapes checked."""

import contextlib
import functools
import gc
import importlib.metadata
import os
import tempfile

gc.disable()  # imports leave nothing to collect; on again at `pytest_collection_finish`

os.environ.setdefault("JAX_PLATFORMS", "cpu")
flags = ["--xla_cpu_parallel_codegen_split_count=1"]
# Compiling takes most of the time of these tests' small programs, and the newer way to emit loops
# twice as long as the older one, which jax 0.10 still has.
if importlib.metadata.version("jax").startswith("0.10."):
    flags.append("--xla_cpu_use_fusion_emitters=false")
os.environ["ONE_DEVICE_XLA_FLAGS"] = " ".join(flags)  # for processes that tests start
flags += [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=4"]
os.environ["XLA_FLAGS"] = " ".join(flags)
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "maskjax-test-cache")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import jaxtyping  # noqa: E402

jaxtyping.install_import_hook("maskjax", "beartype.beartype")

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

ROOT = Path(__file__).parents[1]
# They need what is not installed.
collect_ignore = [
    "golden", "benchmarks", "interop/record.py", "interop/record_heads.py",
    "interop/record_resnet.py", "interop/record_text.py",
    "evaluation/record_seqeval.py",
]  # fmt: skip
# What starts processes, trains a config or compiles much; what is not here takes a minute or so
# (`pytest -m quick`). Names of files, or of folders, or of tests within a file.
SLOW = (
    "maskjax/masking/",
    "tests/data/image/",
    "tests/data/pipeline_test.py",
    "tests/data/text/build_test.py",
    "tests/evaluation/linear_probe_test.py",
    "tests/evaluation/sheets/",
    "tests/interop/",
    "tests/launch/bert4rec_test.py",
    "tests/launch/configs_",
    "tests/launch/draw_masks_test.py",
    "tests/launch/errors_test.py::test_launchers_refuse_before_they_compute",
    "tests/launch/stranger_test.py",
    "tests/launch/study_test.py",
    "tests/launch/texts_test.py",
    "tests/launch/tokenize_test.py",
    "tests/launch/train_test.py",
    "tests/masking/",
    "tests/models/",
    "tests/readme_test.py",
    "tests/signals_test.py",
    "tests/tasks/bert4rec_test.py",
    "tests/tasks/classify_test.py",
    "tests/tasks/learned_masks_test.py",
    "tests/tasks/mae_test.py",
    "tests/tasks/masker_test.py",
    "tests/tasks/mlm_test.py",
    "tests/tasks/text_masks_test.py",
    "tests/tasks/nothing_hidden_test.py",
    "tests/tasks/text_body_test.py",
    "tests/tasks/wiring_test.py",
    "tests/tools/benchmark_test.py",
    "tests/tools/dry_run_test.py",
    "tests/tools/export_test.py",
    "tests/tools/export_weights_test.py",
    "tests/tools/frozen_test.py",
    "tests/tools/mask_benchmark_test.py",
    "tests/tools/predict_test.py",
    "tests/tools/serving_test.py",
    "tests/tools/startup_test.py",
    "tests/tools/study_run_test.py",
    "tests/tools/study_search_test.py",
    "tests/tools/visualize_test.py",
    "tests/training/best_test.py",
    "tests/training/draw_test.py",
    "tests/training/hooks_test.py",
    "tests/training/init_from_test.py",
    "tests/training/loop_test.py",
    "tests/training/parallel_test.py",
    "tests/training/param_masks_test.py",
    "tests/preemption_test.py",
    "tests/training/watch_test.py",
    "tests/training/wiring_test.py",
    "tests/typing_test.py",
    "tests/workdir/checkpoint_test.py",
)
# Within these, what is quick all the same.
QUICK = tuple(
    f"tests/masking/{name}_test.py"
    for name in ("checks", "core", "parameters_sparsities", "registry", "schedules")
)
# Their tests share a run: with `-n` one process takes them all, and begins with them.
TOGETHER = ("tests/tools/",)


def pytest_configure(config):
    """Set what all tests run under; with `-n` the process that hands them out needs no JAX."""
    if not getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput"):
        import jax

        jax.config.update("jax_numpy_rank_promotion", "raise")
        _share_contexts()


def _share_contexts():
    """Lower every program in one MLIR context: making one costs more than a small program does."""
    from jax._src.interpreters import mlir  # private: where it is another, nothing is shared

    if hasattr(mlir, "make_ir_context"):
        mlir.make_ir_context = functools.cache(mlir.make_ir_context)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config, items):
    """Mark every test as quick or slow; processes of xdist fill up with what is quick."""
    for item in items:
        is_quick = item.nodeid.startswith(QUICK) or not item.nodeid.startswith(SLOW)
        item.add_marker("quick" if is_quick else "slow")
    if hasattr(config, "workerinput"):
        items.sort(
            key=lambda item: (
                not item.nodeid.startswith(TOGETHER),
                item.get_closest_marker("slow") is None,
            )
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give a file to one process: what its tests share, and compile, is made once."""
    if config.option.dist != "load":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return next((folder for folder in TOGETHER if file.startswith(folder)), file)

    config.option.loadscopereorder = False  # the order of above
    return Files(config, log)


def pytest_collection_finish():
    """Have the garbage collector pass over what is imported, and seldom over what is traced.

    Programs stay in JAX's caches: with Python's own thresholds a twelfth of the time of these tests
    goes into looking at them again and again.
    """
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


def pytest_sessionfinish():
    """What is left now goes with the process: pytest would collect it five times over."""
    gc.freeze()


@pytest.fixture(scope="session")
def untyped():
    """What a batch of any size is traced under, in a `with`: a symbolic size is no int."""

    @contextlib.contextmanager
    def untyped():
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            yield
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    return untyped


@pytest.fixture(scope="session")
def load_config():
    """`load_config("mae", "smoke", **{"mask.ratio": 0.5})`: a config with overrides."""
    from maskjax.config import load as read

    def load(name, variant="", **overrides):
        config = read(ROOT / "configs" / f"{name}.py", variant)
        config.update_from_flattened_dict(overrides)
        return config

    return load
