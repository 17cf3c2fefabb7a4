"""`config.task` names a module of maskjax/tasks or of one's own."""

import sys
import types

import pytest

from maskjax import tasks
from maskjax.tasks import options

OWN = """
from maskjax.tasks.task import Task

class Mine(Task):
    def init(self, key): ...
    def loss(self, params, batch, context): ...

def build(config, data):
    mine = Mine()
    mine.given = config.task, data
    return mine
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder that modules are found in, and forgotten again."""
    (tmp_path / "own_tasks").mkdir()
    (tmp_path / "own_tasks" / "good.py").write_text(OWN)
    (tmp_path / "own_tasks" / "empty.py").write_text("x = 1")
    (tmp_path / "own_tasks" / "other.py").write_text("def build(config, data): return {}")
    (tmp_path / "own_tasks" / "broken.py").write_text("import not_there_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("own_tasks")]:
        del sys.modules[name]


def _build(name):
    return tasks.build(types.SimpleNamespace(task=name), "data")


@pytest.mark.usefixtures("own")
def test_a_dotted_path_is_a_module_of_ones_own():
    assert _build("own_tasks.good").given == ("own_tasks.good", "data")
    with pytest.raises(ValueError, match=r"'own_tasks\.other': build made a dict: it must "):
        _build("own_tasks.other")


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("name", ["own_tasks.empty", "losses", "json"])
def test_a_module_that_makes_no_task_is_refused(name):
    with pytest.raises(ValueError, match=rf"^task '{name}': \S+ has no function build\(config, da"):
        _build(name)


@pytest.mark.usefixtures("own")
def test_what_a_module_of_ones_own_imports_and_is_not_there_is_named():
    message = r"'own_tasks\.broken\S*': the module own_tasks\.broken imports 'not_there_at_all', wh"
    with pytest.raises(ValueError, match=message):
        _build("own_tasks.broken")
    with pytest.raises(ValueError, match=message):
        options.dotted("mask.best_of.metric", "own_tasks.broken.metric")


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("name", ["mea", "", "own_tasks.none", "nowhere.at.all", "./mine.py", ".x"])
def test_an_unknown_task_lists_those_that_there_are(name):
    with pytest.raises(ValueError, match=rf"^unknown task '{name}'.*'mae'.*beside the config file"):
        _build(name)


def test_the_nearest_task_is_named():
    with pytest.raises(ValueError, match=r"'mea' \(did you mean 'mae'\?\)"):
        _build("mea")
