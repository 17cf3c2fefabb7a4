"""Texts: tokenizers, documents, and rows of tokens."""

from maskjax.data.sources import MODALITIES, Modality, Sample, Splits
from maskjax.data.text import sources, tfds, training
from maskjax.data.text.arranging import arrange
from maskjax.data.text.processor import TextProcessor
from maskjax.data.text.settings import TextSettings
from maskjax.data.text.sources import corpus_named
from maskjax.data.text.subwords import Subwords, Tokenizer
from maskjax.data.text.tokenizer import Bytes
from maskjax.data.text.tokenizer_files import published_files, read_tokenizer

# Imported because importing them registers their sources.
_SOURCES = (sources, tfds)

__all__ = [
    "Bytes", "Subwords", "TextProcessor", "TextSettings", "Tokenizer", "corpus_named",
    "published_files", "read_tokenizer", "training",
]  # fmt: skip


def prepare(splits: Splits, settings: TextSettings, sample: Sample) -> TextProcessor:
    """Make the processor of opened sources; see `Modality`."""
    del sample
    base = splits.train.base()[0]
    assert isinstance(base, sources.Documents | sources.Rows)
    return TextProcessor(
        tokenizer=base.tokenizer,
        max_length=settings.max_length,
        layout=settings.layout,
        has_pairs=base.index.seconds is not None,
        tag_names=base.index.tag_names,
        kind_names=base.index.kind_names or tuple(name for name, _ in settings.kinds),
        kinds=tuple(expression for _, expression in settings.kinds),
        buckets=(*settings.buckets, settings.max_length) if settings.buckets else (),
        units=settings.units,
    )


MODALITIES["text"] = Modality(TextSettings, prepare, TextProcessor.restore, arrange=arrange)
