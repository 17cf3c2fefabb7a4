"""Checkpoints do without fsync where there is none, and only there."""

from orbax.checkpoint._src.serialization import tensorstore_utils

from maskjax.workdir import manager


def test_checkpoints_are_written_without_what_is_refused(tmp_path, monkeypatch, caplog):
    for name in manager._NAMES:
        monkeypatch.setattr(tensorstore_utils, name, dict(getattr(tensorstore_utils, name)))
    manager.do_without_where_refused(tmp_path / "run")
    for use_ocdbt in (True, False):
        context = tensorstore_utils.get_ts_context(use_ocdbt=use_ocdbt)
        assert context["file_io_sync"].to_json() is True
    monkeypatch.setattr(manager, "can_sync", lambda folder: False)
    manager.do_without_where_refused(tmp_path / "run")
    for use_ocdbt in (True, False):
        context = tensorstore_utils.get_ts_context(use_ocdbt=use_ocdbt)
        assert context["file_io_sync"].to_json() is False
    assert "offers no fsync" in caplog.text


def test_an_orbax_that_keeps_them_elsewhere_is_left_alone(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(manager, "can_sync", lambda folder: False)
    monkeypatch.setattr(manager, "_CONTEXTS", "orbax.checkpoint.nowhere")
    manager.do_without_where_refused(tmp_path)
    assert "still written with fsync" in caplog.text
