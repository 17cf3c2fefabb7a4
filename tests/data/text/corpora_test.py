"""Text files, tables, JSON lines and tagged words: what is read, and what is wrong by its line."""

import gzip

import pytest

from maskjax.data.text import TextSettings
from maskjax.data.text import files as text_files
from maskjax.data.text.corpora import read_documents, read_json_lines, read_table, read_tagged
from maskjax.data.text.sources import text_corpora

CUT = gzip.compress(b"a\n" * 99, mtime=0)[:-9]  # without a time: it names a test
SETTINGS = TextSettings()
LABELLED = TextSettings(layout="whole", label_column="label")
PAIRS = TextSettings(layout="whole", pair_column="other", text_column="one")


def written(folder, content, name="texts.txt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("blank_line", [(1, "a\nb"), (5, "c")]),
        ("line", [(1, "a"), (2, "b"), (5, "c")]),
        ("file", [(1, "a\nb\n\n\nc")]),
    ],
)
@pytest.mark.parametrize("is_gzipped", [False, True])
def test_documents_end_where_the_setting_says(tmp_path, document, expected, is_gzipped):
    content = "\ufeffa\r\nb\n\n\nc".encode()
    path = written(tmp_path, gzip.compress(content, mtime=0) if is_gzipped else content)
    found = list(read_documents(path, TextSettings(document=document)))
    assert [(each.place[1], each.text) for each in found] == expected


def test_tables_have_texts_labels_and_pairs(tmp_path):
    table = 'label,text\r\ngood,"Fine, \r\nreally"\r\nbad,no\r\n'
    found = list(read_table(written(tmp_path, table, "t.csv"), LABELLED))
    assert [(each.text, each.label, each.place[1]) for each in found] == [
        ("Fine, \r\nreally", "good", 2),
        ("no", "bad", 4),
    ]
    path = written(tmp_path, "one\tother\na, b\tc\n", "t.tsv")
    assert [(each.text, each.second) for each in read_table(path, PAIRS)] == [("a, b", "c")]


def test_json_lines_have_texts_and_labels_of_any_kind(tmp_path):
    path = written(tmp_path, '{"text": "a", "label": 3, "id": 7}\n\n{"label": true, "text": "b"}\n')
    found = [(each.text, each.label, each.place[1]) for each in read_json_lines(path, LABELLED)]
    assert found == [("a", "3", 1), ("b", "True", 3)]


def test_tagged_words_become_texts_with_spans(tmp_path):
    path = written(tmp_path, "-DOCSTART- O\n\nNew B-LOC\nYork I-LOC\n\n\nhe O\n")
    found = [(each.text, each.tags, each.place[1]) for each in read_tagged(path, SETTINGS)]
    assert found == [
        ("New York", ((0, 3, "B-LOC"), (4, 8, "I-LOC")), 3),
        ("he", ((0, 2, "O"),), 7),
    ]


@pytest.mark.parametrize(
    ("read", "settings", "content", "message"),
    [
        (read_documents, SETTINGS, b"", "texts.txt is empty: leave it out"),
        (read_documents, SETTINGS, b"ab\nc\xff\n", "no UTF-8: line 2 has 0xff at byte 4; convert"),
        (read_documents, SETTINGS, b"\xef\xbb\xbfa\xff", "line 1 has 0xff at byte 4"),
        (read_documents, SETTINGS, CUT, "gzipped and broken behind"),
        (read_json_lines, SETTINGS, b'{"text": "a"}\n{"text": \n', "line 2 of .* is no JSON"),
        (read_json_lines, SETTINGS, b'["a"]\n', "line 1 of .* is no object: write"),
        (read_json_lines, SETTINGS, b'{"body": "a"}\n', "line 1 of .* has no 'text', only 'body'"),
        (read_json_lines, SETTINGS, b'{"text": 3}\n', "line 1 of .*: 'text' is 3, which must be a"),
        (read_json_lines, LABELLED, b'{"text": "a", "label": "x"}\n{"text": "b"}', "line 2 .*no"),
        (read_json_lines, LABELLED, b'{"text": "a", "label": ""}\n', "line 1 of .* has no label"),
        (read_table, SETTINGS, b"text,n\na,1\nb,2,3\n", "line 3 of .* has 3 columns, the header 2"),
        (read_table, SETTINGS, b"body\na\n", "data.text_column='text' is no column of .* has body"),
        (read_table, LABELLED, b"text\na\n", "data.label_column='label' is no column of"),
        (read_table, SETTINGS, b'text\n"a\nb"\nc\rd\n', "line 4 of .* has a carriage return"),
        (read_table, SETTINGS, b'text\na\n"b\nc\nd\n', "line 3 of .* cannot be read .*quotation"),
        (read_table, SETTINGS, b'text\n"b" c\nd "e"\n', "line 2 of .* cannot be read .*quotation"),
        (read_table, SETTINGS, b"text,text\na,b\n", "'text' is the name of 2 columns of"),
        (read_json_lines, SETTINGS, b"[" * 9999, "line 1 of .* is no JSON"),
        (read_json_lines, SETTINGS, b'{"text": "a \\ud83d"}\n', "line 1 .*has .* at character 3"),
        (read_json_lines, LABELLED, b'{"text": "a", "label": "\\ud83d"}', "line 1 .*'label' has"),
        (read_tagged, SETTINGS, b"a O\nb x O\n", "line 2 of .* has 3 columns, others 2"),
        (read_tagged, SETTINGS, b"a O\nb PER\n", "line 2 of .* has the tag 'PER': it must be O"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_line(tmp_path, read, settings, content, message):
    with pytest.raises(ValueError, match=message):
        list(read(written(tmp_path, content), settings))


def test_lines_and_documents_have_a_limit(tmp_path, monkeypatch):
    for module in ("files", "corpora"):
        monkeypatch.setattr(f"maskjax.data.text.{module}.MAX_BYTES", 8)
    assert len(list(text_files.lines(written(tmp_path, "1234567\n12345678")))) == 2
    with pytest.raises(ValueError, match=r"line 2 of .* is longer than 8 bytes: break it"):
        list(text_files.lines(written(tmp_path, "1\n123456789\n")))
    with pytest.raises(ValueError, match=r"document at line 2 of .* is longer than 8 characters"):
        list(read_documents(written(tmp_path, "\n12345\n67890\n"), SETTINGS))


def test_a_folder_has_its_text_files_and_splits_by_name(tmp_path):
    for name in ("b.txt", "sub/a.md.gz", ".hidden.txt", "picture.png", "empty.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        content = f"of {name}".encode()
        content = gzip.compress(content, mtime=0) if name.endswith("gz") else content
        (tmp_path / name).write_bytes(b"" if name == "empty.txt" else content)
    (corpus,) = text_corpora(str(tmp_path), SETTINGS).values()
    assert [each.text for each in corpus.read()] == ["of b.txt", "of sub/a.md.gz"]
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "t.txt").write_text("learn")
    (tmp_path / "val.txt").write_text("choose")
    found = text_corpora(str(tmp_path), SETTINGS)
    read = {split: [each.text for each in corpus.read()] for split, corpus in found.items()}
    assert read == {"train": ["learn"], "validation": ["choose"]}


def test_another_content_is_another_corpus(tmp_path):
    path = written(tmp_path, "a")

    def identity(**settings):
        return text_corpora(str(path), TextSettings(**settings))["train"].identity

    first = identity()
    assert identity() == first != identity(document="line")
    path.write_text("b")
    assert identity() != first
