"""Every test is quick or slow, and the lists that say so name what there is."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_lists_name_files_that_exist(request):
    lists = next(
        plugin
        for plugin in request.config.pluginmanager.get_plugins()
        if getattr(plugin, "__file__", None) == str(ROOT / "tests" / "conftest.py")
    )
    for name in (*lists.SLOW, *lists.QUICK):
        path = name.partition("::")[0]
        found = list(ROOT.glob(path.rstrip("/") + ("" if path.endswith((".py", "/")) else "*")))
        assert found, name


def test_every_test_has_one_of_the_marks(request):
    for item in request.session.items:
        marks = {mark.name for mark in item.iter_markers()} & {"quick", "slow"}
        assert len(marks) == 1, item.nodeid
