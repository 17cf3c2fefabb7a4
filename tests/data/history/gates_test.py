"""Soft gates of items."""

import pytest

from maskjax import data

# The last two of each history are held out: in training are a a a a, b b b b, c.
TABLE = "user,item\n" + "".join(
    f"{user},{item}\n"
    for user, items in {"u": "aaaabd", "v": "bbbbcd", "w": "cda"}.items()
    for item in items
)


@pytest.fixture
def build(tmp_path):
    (tmp_path / "plays.csv").write_text(TABLE)
    place = {"source": f"interactions:{tmp_path / 'plays.csv'}", "time_column": ""}
    return lambda gate: data.build({**place, "gate": gate}, seed=0, batch_size=2)


def test_items_that_are_frequent_in_training_are_seen_less(build):
    for exponent, often in (("", 0.5), (":1", 0.25)):
        opened = build(f"frequencies{exponent}")
        assert opened.describe()["gate"] == [often, often, 1, 1]  # d is not in training
    restored = data.restore({"source": "histories", "gate": "frequencies"}, opened.describe())
    assert restored.processor.describe()["gate"] == opened.describe()["gate"]
    assert "gate" not in build("").describe()


def test_a_table_says_how_much_of_an_item_is_seen(build, tmp_path):
    (tmp_path / "m.csv").write_text("b, 0.25\n\nd,0\n")
    assert build(str(tmp_path / "m.csv")).describe()["gate"] == [1, 0.25, 1, 0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("e,1", "'e,1' is no item and its m; items are a, b, c"),
        ("a", "'a' is no item and its m"),
        ("a,2", r"'a,2' must end in a number from 0 \(hidden\) to 1 \(seen\)"),
        ("a,nan", "'a,nan' must end in a number"),
        ("a,much", "'a,much' must end in a number"),
    ],
)
def test_a_line_that_says_no_m_is_named(build, tmp_path, line, message):
    (tmp_path / "m.csv").write_text(f"b,1\n{line}\n")
    with pytest.raises(ValueError, match=f"line 2 of .*m.csv: {message}"):
        build(str(tmp_path / "m.csv"))


def test_what_is_neither_a_file_nor_frequencies_is_refused(build):
    with pytest.raises(FileNotFoundError, match=r"give a .csv of item,m lines, or 'frequencies'"):
        build("frequency")
    for argument in ("-1", "0", "inf", "much"):
        with pytest.raises(ValueError, match="the exponent must be a number above 0"):
            build(f"frequencies:{argument}")
