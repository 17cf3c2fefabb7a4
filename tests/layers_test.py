"""The arrows of the design: a layer imports its own and those above it, never those below."""

import ast
import pkgutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Above all layers.
ABOVE_ALL = {
    "typing",
    "key",
    "param_mask_keys",
    "keys",
    "config",
    "spelling",
    "paths",
    "preemption",
    "signals",
    "terminal",
}
# In the order of the design; the first three know nothing of each other but what is said here.
LAYERS = (
    "masking",
    "models",
    "data",
    "evaluation",
    "tasks",
    "interop",
    "workdir",
    "training",
    "tools",
)
ALLOWED = {layer: set(LAYERS[:place]) for place, layer in enumerate(LAYERS)} | {"data": set()}


def imported_modules(path):
    """Every module that a file imports, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layers_imported(path):
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] == "maskjax" and len(parts) > 1:
            yield parts[1]


@pytest.mark.parametrize("layer", ALLOWED)
def test_no_layer_imports_one_below_it(layer):
    files = sorted((ROOT / "maskjax" / layer).rglob("*.py"))
    assert files
    for path in files:
        wrong = set(layers_imported(path)) - ALLOWED[layer] - {layer} - ABOVE_ALL
        assert not wrong, f"{path} imports {wrong}"


def test_every_folder_of_the_package_is_a_known_layer():
    folders = {path.name for path in (ROOT / "maskjax").iterdir() if path.is_dir()}
    assert folders - {"__pycache__"} == set(ALLOWED)


def test_masking_imports_jax_and_numpy_alone():
    standard = {
        "bisect", "collections", "dataclasses", "functools", "inspect", "math", "operator", "re",
    }  # fmt: skip
    for path in (ROOT / "maskjax" / "masking").rglob("*.py"):
        tops = {module.split(".")[0] for module in imported_modules(path)}
        assert tops <= standard | {"typing", "jax", "numpy", "maskjax"}, path


def test_what_is_above_all_imports_none_of_the_layers():
    for name in ABOVE_ALL:
        wrong = set(layers_imported(ROOT / "maskjax" / f"{name}.py")) - ABOVE_ALL
        assert not wrong, f"{name} imports {wrong}"


def test_masking_imports_nothing_of_ours_but_shapes_and_spelling():
    for path in (ROOT / "maskjax" / "masking").rglob("*.py"):
        assert set(layers_imported(path)) <= {"masking", "typing", "spelling"}, path


def test_configs_import_no_code_but_ml_collections_and_our_keys():
    for path in (ROOT / "configs").rglob("*.py"):
        for module in imported_modules(path):
            assert module.startswith(("ml_collections.", "maskjax.config.")), f"{path}: {module}"


def test_spelling_stands_in_one_file():
    for folder in ("maskjax", "configs", "launch"):
        for path in (ROOT / folder).rglob("*.py"):
            tops = {module.split(".")[0] for module in imported_modules(path)}
            assert "difflib" not in tops or path.name == "spelling.py", path


def test_no_module_is_over_300_lines():
    lengths = {path: len(path.read_text().splitlines()) for path in ROOT.glob("maskjax/**/*.py")}
    assert lengths
    assert {path: length for path, length in lengths.items() if length > 300} == {}


def test_launchers_are_under_80_lines():
    for path in (ROOT / "launch").glob("*.py"):
        assert len(path.read_text().splitlines()) < 80, path


def test_tensorflow_and_pytorch_are_imported_nowhere():
    for folder in ("maskjax", "configs", "launch"):
        for path in (ROOT / folder).rglob("*.py"):
            tops = {module.split(".")[0] for module in imported_modules(path)}
            assert not tops & {"tensorflow", "torch"}, path


def test_what_scripts_that_no_test_runs_import_is_there():
    scripts = [
        *(ROOT / "tests" / "benchmarks").glob("*.py"),
        *(ROOT / "tests" / "golden").glob("*.py"),
    ]
    names = {name for path in scripts for name in imported_modules(path)}
    ours = {name for name in names if name.startswith("maskjax.")}
    assert len(ours) > 20
    for name in sorted(ours):
        pkgutil.resolve_name(name)  # ImportError or AttributeError
