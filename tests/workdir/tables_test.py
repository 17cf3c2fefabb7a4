"""Tables are kept beside the last line of their split."""

import numpy as np

from maskjax.evaluation.metrics import Table
from maskjax.workdir import tables

TABLE = Table(("cat", "dog"), ("f1", "support"), np.array([[0.5, 12.0], [np.nan, 0.0]]))


def test_tables_are_read_beside_the_line_of_their_step_alone(tmp_path):
    lines = {"validation": {"step": 4}, "test": {"step": 6}}
    assert tables.read_tables(tmp_path, lines) == {}
    tables.write_tables(tmp_path, "validation", 2, {"per_class": TABLE})
    tables.write_tables(tmp_path, "test", 6, {"per_class": TABLE})
    assert list(tables.read_tables(tmp_path, lines)) == ["test"]
    tables.write_tables(tmp_path, "validation", 3, {"per_class": TABLE}, kept=[2])
    tables.write_tables(tmp_path, "validation", 4, {"per_class": TABLE}, kept=[3])
    at = [
        step for step in (2, 3, 4) if tables.read_tables(tmp_path, {"validation": {"step": step}})
    ]
    assert at == [3, 4]
    found = tables.read_tables(tmp_path, lines)
    assert list(found) == ["validation", "test"]
    np.testing.assert_array_equal(found["test"]["per_class"].values, TABLE.values)
    assert tables.nested(found["test"]["per_class"]) == {
        "cat": {"f1": 0.5, "support": 12.0},
        "dog": {"f1": None, "support": 0.0},
    }
