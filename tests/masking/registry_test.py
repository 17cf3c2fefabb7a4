import ast
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking

KEYS = jax.random.split(jax.random.key(0), 3)


def test_unknown_rule_lists_the_known_ones_and_the_nearest():
    with pytest.raises(ValueError, match=r"'blok' \(did you mean 'block'\?\).*'inverse_block'"):
        masking.make_rule("blok")


def test_unknown_option_lists_those_of_the_rule():
    expected = r"'sliding' has no option 'strid' \(did you mean 'stride'\?\).*'axis', 'step'"
    with pytest.raises(ValueError, match=expected):
        masking.make_rule("sliding", strid=2)


def test_unknown_spatial_rule_is_refused():
    with pytest.raises(ValueError, match="unknown masking rule 'nothing'"):
        masking.tube(KEYS[0], (2, 4), 4, space_rule="nothing")


@pytest.mark.parametrize(
    ("space_rule", "message"),
    [
        ("weighted", r"weighted of tube needs log_weights, .*make_rule\('weighted', log_weights="),
        ("region", r"region of tube needs coverage, .*make_rule\('region', coverage="),
        ("sliding", r"sliding of tube needs step, .*make_rule\('sliding', step=None\)"),
        (masking.make_rule("sliding", stride=2), "sliding of tube needs step"),
    ],
)
def test_a_spatial_rule_that_needs_what_a_tube_lacks_is_refused(space_rule, message):
    with pytest.raises(ValueError, match=message):
        masking.tube(KEYS[0], (2, 4), 4, space_rule=space_rule)


@pytest.mark.parametrize(
    "space_rule",
    [
        masking.make_rule("sliding", step=None),
        masking.make_rule("weighted", log_weights=jnp.arange(4.0)),
    ],
)
def test_a_tube_takes_a_spatial_rule_with_all_bound_that_it_needs(space_rule):
    drawn = masking.draw(masking.make_rule("tube", space_rule=space_rule), KEYS, (2, 4), 4)
    frames = drawn.is_masked.reshape(3, 2, 4)
    np.testing.assert_array_equal(frames[:, 0], frames[:, 1])
    assert (frames.sum(axis=2) == 2).all()


def test_a_registered_rule_is_found_and_its_name_is_taken():
    @masking.register("every_other")
    def every_other(key, grid, num_masked, *, first=0):
        return (jnp.arange(masking.grid_length(grid)) + first) % 2 * 1.0

    try:
        drawn = masking.draw(masking.make_rule("every_other", first=1), KEYS, (4,), 2)
        assert drawn.is_masked.tolist() == [[True, False, True, False]] * 3
        with pytest.raises(ValueError, match="'every_other' is registered already"):
            masking.register("every_other")(every_other)
    finally:
        del masking.RULES["every_other"]


def test_the_module_of_a_rule_that_masking_imports_may_import_masking():
    tree = ast.parse(Path(masking.__file__).read_text())
    first = next(node for node in tree.body if isinstance(node, ast.ImportFrom))
    assert first.module == "maskjax.masking.registry"
    assert "register" in [alias.name for alias in first.names]


def test_only_an_unbound_step_is_needed():
    needed = {name for name in masking.RULES if masking.needs_step(masking.make_rule(name))}
    assert needed == {"sliding", "sliding_block"}
    assert not masking.needs_step(masking.make_rule("sliding", step=None))


@pytest.mark.parametrize("name", ["random", "hierarchical"])
def test_candidates_are_not_bound_but_given_to_draw(name):
    with pytest.raises(ValueError, match=f"is_candidate is no option of masking rule '{name}'"):
        masking.make_rule(name, is_candidate=jnp.ones(4, bool))


def test_masking_needs_jax_and_numpy_alone():
    code = (
        "import sys; import jax, jax.numpy, numpy; sys.modules['jaxtyping'] = None; "
        "before = set(sys.modules); import maskjax.masking; "
        "print({name.split('.')[0] for name in set(sys.modules) - before})"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert output.returncode == 0, output.stderr
    allowed = {"maskjax", "jax", "jaxlib", "numpy", *sys.stdlib_module_names}
    assert eval(output.stdout) <= allowed
