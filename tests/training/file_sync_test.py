"""Checkpoints do without fsync where there is none, and only there."""

from orbax.checkpoint._src.serialization import tensorstore_utils

from maskjax.training import file_sync


def test_checkpoints_are_written_without_what_is_refused(tmp_path, monkeypatch, caplog):
    for name in file_sync._NAMES:
        monkeypatch.setattr(tensorstore_utils, name, dict(getattr(tensorstore_utils, name)))
    file_sync.do_without_where_refused(tmp_path / "run")
    for use_ocdbt in (True, False):
        context = tensorstore_utils.get_ts_context(use_ocdbt=use_ocdbt)
        assert context["file_io_sync"].to_json() is True
    monkeypatch.setattr(file_sync, "can_sync", lambda folder: False)
    file_sync.do_without_where_refused(tmp_path / "run")
    for use_ocdbt in (True, False):
        context = tensorstore_utils.get_ts_context(use_ocdbt=use_ocdbt)
        assert context["file_io_sync"].to_json() is False
    assert "offers no fsync" in caplog.text


def test_an_orbax_that_keeps_them_elsewhere_is_left_alone(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(file_sync, "can_sync", lambda folder: False)
    monkeypatch.setattr(file_sync, "_CONTEXTS", "orbax.checkpoint.nowhere")
    file_sync.do_without_where_refused(tmp_path)
    assert "still written with fsync" in caplog.text
