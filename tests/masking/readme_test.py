"""The tables of the masking layer's page: every rule is in them, and every example is true."""

import inspect
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from maskjax import masking

PATH = Path(masking.__file__).parent / "README.md"
PAGE = PATH.read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| `")]
NAMES = [name for row in ROWS for name in re.findall(r"`([\w.]+)`", row.split(" | ")[0])]
EXAMPLES = [re.search(r"`([^`]+)` -> `([^`]+)` \|$", row) for row in ROWS]

# The registries, submodules and type aliases among their names are no functions or classes.
MODULES = [
    masking, masking.adaptive, masking.attention, masking.audio, masking.frequency, masking.heads,
    masking.parameters, masking.regions, masking.sequences, masking.text, masking.unmasking,
]  # fmt: skip


def test_every_row_has_an_example():
    assert all(EXAMPLES), [row for row, example in zip(ROWS, EXAMPLES) if not example]
    assert len(ROWS) > 50


@pytest.fixture
def compiled(monkeypatch):
    """Drawing under jit: to compile each operation of a rule by itself takes seconds."""
    for name in ("score", "draw", "draw_counts", "draw_slots", "draw_chosen"):
        monkeypatch.setattr(masking, name, _under_jit(getattr(masking, name)))


def _under_jit(draw):
    def drawing(rule, keys, grid, *counts, **runtime):
        return jax.jit(lambda keys, runtime: draw(rule, keys, grid, *counts, **runtime))(
            keys, runtime
        )

    return drawing


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("example", EXAMPLES, ids=[row.split("`")[1] for row in ROWS])
def test_the_example_is_true(example):
    names = {"jax": jax, "jnp": jnp, "masking": masking}
    names["keys"] = jax.random.split(jax.random.key(0), 2)
    assert repr(eval(example[1].replace("\\|", "|"), names)) == example[2].replace("\\|", "|")


@pytest.mark.parametrize("name", [*masking.RULES, *masking.attention.ATTENTION])
def test_every_rule_is_in_the_tables(name):
    assert name in NAMES or f"attention.{name}" in NAMES


RULES = {name: rule.score for name, rule in masking.RULES.items()}
RULES |= {f"attention.{name}": make for name, make in masking.attention.ATTENTION.items()}


@pytest.mark.parametrize("name", RULES)
def test_the_options_of_every_rule_are_on_the_page(name):
    rows = [row for row in ROWS if row.startswith(f"| `{name}` |")]
    shown = [re.findall(r"`([^`]+)`", row.split(" | ")[3]) for row in rows]
    parameters = {
        parameter.name: parameter.default
        for parameter in inspect.signature(RULES[name]).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name != "is_candidate"
    }
    needed = [
        option for option, default in parameters.items() if default is inspect.Parameter.empty
    ]
    options = {option: parameters[option] for option in parameters if option not in needed}
    assert [[option for option in each if "=" not in option] for each in shown] == [needed]
    assert eval(f"dict({', '.join(option for option in shown[0] if '=' in option)})") == options


def test_words_that_people_look_for_are_on_the_page():
    words = ["2:4", "N:M", "Bernoulli", "independent", "RLE", "GQA", "cutout", "random erasing"]
    assert [word for word in words if word not in PAGE] == []
    rows = re.findall(r"^\| [^`|]+ \| (.*) \|$", PAGE.split("another name:")[1], re.MULTILINE)
    called = re.findall(r"`([a-z_.]{3,})(?:\(|`)", " ".join(rows))
    assert len(rows) >= 8
    assert len(called) >= len(rows)
    for name in called:
        _find(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_tables_name_exists(name):
    _find(name)


def test_every_picture_is_there_and_small():
    pictures = [PATH.parent / link for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE)]
    assert {picture.stem for picture in pictures} == {
        "image", "text", "audio", "sequence", "weights", "frequency", "attention", "regions",
    }  # fmt: skip
    assert all(picture.stat().st_size < 300_000 for picture in pictures)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_function_and_class_is_in_the_tables(module):
    documented = {id(_find(name)) for name in NAMES}
    missing = [
        name for name, value in _public(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value)) and id(value) not in documented
    ]  # fmt: skip
    assert not missing


def _find(name):
    found = masking
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _public(module):
    """What a module says is public; of one that says nothing, what it defines."""
    if hasattr(module, "__all__"):
        return {name: getattr(module, name) for name in module.__all__}
    return {
        name: value for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }  # fmt: skip
