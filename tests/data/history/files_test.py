import numpy as np
import pytest

from maskjax.data.history.files import read_movielens, read_table

# The same three histories in every layout: user 7 rates 30 at 5, then 10 and 20 at 9 (in the order
# of the file); user 3 rates 20; user 11 rates 10, 10.
RATINGS = [(7, 10, 9), (3, 20, 4), (7, 20, 9), (11, 10, 1), (7, 30, 5), (11, 10, 2)]
EXPECTED = {3: [20], 7: [30, 10, 20], 11: [10, 10]}


def named(histories):
    return [histories.names[histories[user] - 1].tolist() for user in range(len(histories))]


@pytest.mark.parametrize(
    ("name", "line", "header"),
    [
        ("u.data", "{}\t{}\t5\t{}", ""),
        ("ratings.dat", "{}::{}::5::{}", ""),
        ("ratings.csv", "{},{},3.5,{}", "userId,movieId,rating,timestamp\n"),
    ],
)
def test_movielens_is_read_in_its_three_layouts(tmp_path, name, line, header):
    lines = "\n".join(line.format(*rating) for rating in RATINGS)
    (tmp_path / name).write_text(f"{header}{lines}\n")
    histories = read_movielens(tmp_path)
    assert named(histories) == list(EXPECTED.values())
    assert histories.names.tolist() == [10, 20, 30]
    assert histories.lengths.tolist() == [1, 3, 2]


def test_a_folder_without_ratings_lists_what_it_should_have(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none of u\.data, ratings\.dat, ratings\.csv"):
        read_movielens(tmp_path)


@pytest.mark.parametrize("content", ["1\t2\n", "a\tb\tc\td\n", "1\t2\t3\t4\n5\t6\n"])
def test_a_file_of_another_kind_is_named(tmp_path, content):
    (tmp_path / "u.data").write_text(content)
    with pytest.raises(ValueError, match=r"u\.data is no u\.data of MovieLens"):
        read_movielens(tmp_path)


def test_no_ratings_at_all_are_an_error(tmp_path):
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n")
    with (
        pytest.warns(UserWarning, match="no data"),
        pytest.raises(ValueError, match="at least one"),
    ):
        read_movielens(tmp_path)


def write(tmp_path, text):
    (tmp_path / "plays.csv").write_text(text)
    return tmp_path / "plays.csv"


def test_a_table_is_read_by_the_names_of_its_columns(tmp_path):
    path = write(
        tmp_path,
        "when,who,note,what\n"
        "2024-05-02,eve,,'n'\n"
        '2024-05-01 12:00,eve,"a, b","song, live"\n'
        "\n"
        "2024-05-01T11:59:00+00:00,eve,,intro\n"
        "2020-01-01,adam,,intro\n",
    )
    histories = read_table(path, "who", "what", "when")
    assert named(histories) == [["intro"], ["intro", "song, live", "'n'"]]


def test_times_that_are_large_whole_numbers_stay_apart(tmp_path):
    first, second = 2**60 + 1, 2**60 + 2  # one float64
    path = write(tmp_path, f"user,item,time\n1,b,{second}\n1,a,{first}\n")
    assert named(read_table(path, "user", "item", "time")) == [["a", "b"]]


def test_without_a_time_column_lines_are_in_order(tmp_path):
    path = write(tmp_path, "user,item\n2,x\n1,b\n2,a\n1,a\n")
    assert named(read_table(path, "user", "item", "")) == [["b", "a"], ["x", "a"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data.user_column='user' is no column"),
        ("user,thing,time\n1,2,3\n", "data.item_column='item' is no column.*user, thing, time"),
        ("user,item\n1,2\n", "data.time_column='time' is no column"),
        ("user,item,time\n", "no interactions below its header"),
        ("user,item,time\n1,2,3\n1,,3\n", "line 3 of .* lacks a user, an item or a time"),
        ("user,item,time\n1,2\n", "line 2 of .* lacks"),
        ("user,item,time\n1,2,soon\n", "line 2 of .*'soon' is neither a number nor a date"),
        ("user,item,time\n1,2,nan\n", "line 2 of .*'nan' is neither a number nor a date"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path, text), "user", "item", "time")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"plays\.csv"):
        read_table(tmp_path / "plays.csv", "user", "item", "time")


def test_items_of_one_time_keep_the_order_of_the_file(tmp_path):
    lines = [f"u,{item},7" for item in np.random.default_rng(0).permutation(50)]
    path = write(tmp_path, "user,item,time\n" + "\n".join(lines))
    assert named(read_table(path, "user", "item", "time")) == [
        [line.split(",")[1] for line in lines]
    ]
