"""Histories of items: who had what, in order of time."""

from maskjax.data.history import sources
from maskjax.data.history.gates import item_gate
from maskjax.data.history.processor import HistoryProcessor
from maskjax.data.history.settings import HistorySettings
from maskjax.data.history.sources import HistorySource
from maskjax.data.sources import MODALITIES, Modality, Sample, Splits

# Imported because importing it registers its sources.
_SOURCES = (sources,)


def prepare(splits: Splits, settings: HistorySettings, sample: Sample) -> HistoryProcessor:
    """Make the processor of opened sources; see `Modality`."""
    del sample
    assert isinstance(splits.validation, HistorySource)  # which no limit has cut
    histories = splits.validation.histories
    names = tuple(map(str, histories.names))
    gate = item_gate(settings.gate, splits.train, names) if settings.gate else None
    longest = int(histories.lengths.max())
    return HistoryProcessor(settings.length, longest, settings.window, names, gate)


MODALITIES["history"] = Modality(HistorySettings, prepare, HistoryProcessor.restore)
