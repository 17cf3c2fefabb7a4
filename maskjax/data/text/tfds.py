"""Texts of prepared TensorFlow Datasets: `tfds_text:NAME[/CONFIG][:VERSION]`."""

from collections.abc import Iterator
from typing import Any

from maskjax.data.sources import Splits, digest, register
from maskjax.data.text.corpora import Corpus
from maskjax.data.text.files import Text
from maskjax.data.text.settings import TextSettings
from maskjax.data.text.sources import CORPORA, splits_of
from maskjax.data.tfds_folder import OTHER_SPLITS, files_of, open_records
from maskjax.spelling import unknown_name


@register("tfds_text", modality="text")
def tfds_text(argument: str, settings: TextSettings) -> Splits:
    """Open a prepared dataset with texts, and classes where `data.label_column` names them."""
    return splits_of(tfds_corpora(argument, settings), settings)


def tfds_corpora(argument: str, settings: TextSettings) -> dict[str, Corpus]:
    """Make the corpora of a prepared dataset by the names of their splits."""
    name = f"data source 'tfds_text:{argument}'"
    builder, records = open_records(argument, name)
    keys = {key: getattr(settings, f"{key}_column") for key in ("text", "pair", "label")}
    keys = {key: feature for key, feature in keys.items() if feature}
    for key, feature in keys.items():
        if feature not in builder.info.features:
            known = unknown_name("feature", feature, builder.info.features)
            raise ValueError(f"{name}: data.{key}_column: {known}")
    corpora = {}
    for split, names in {"train": ("train",), **OTHER_SPLITS}.items():
        part = next((each for each in names if each in records), None)
        if part is not None:
            reader = _Reader(builder.info.features, records[part], keys, f"{name}, {part}")
            identity = digest(files_of(builder, part), sorted(keys.items()), *reader.sample())
            corpora[split] = Corpus(f"tfds_text:{argument}", reader, identity)
    return corpora


CORPORA["tfds_text"] = tfds_corpora


class _Reader:
    """Gives the texts of one split, each time anew."""

    def __init__(self, features: Any, records: Any, keys: dict[str, str], name: str):
        import tensorflow_datasets as tfds  # slow to import

        chosen = {feature: features[feature] for feature in keys.values()}
        self._features: Any = tfds.features.FeaturesDict(chosen)
        self._records, self._keys, self._name = records, dict(keys), name
        label = keys.get("label")
        # Test splits whose labels are kept secret hold -1 throughout.
        if label and len(records) and self._read(0)[label] < 0:
            del self._keys["label"]

    def _read(self, index: int) -> dict[str, Any]:
        return self._features.deserialize_example_np(self._records[index])

    def sample(self) -> list[bytes]:
        """Some records, spread over all."""
        count = len(self._records)
        return [self._records[i] for i in range(0, count, max(1, count // 64))]

    def __call__(self) -> Iterator[Text]:
        for index in range(len(self._records)):
            found = self._read(index)
            texts = [self._text(found, key, index) for key in ("text", "pair") if key in self._keys]
            label = self._label(found, index) if "label" in self._keys else None
            yield Text(texts[0], (0, index), texts[1] if len(texts) > 1 else None, label)

    def _text(self, found: dict[str, Any], key: str, index: int) -> str:
        value, where = found[self._keys[key]], f"{self._name}: example {index}"
        if not isinstance(value, bytes):
            raise ValueError(
                f"{where}: {self._keys[key]!r} is no text; set data.{key}_column to one that is"
            )
        try:
            return value.decode().strip()
        except UnicodeDecodeError as error:
            raise ValueError(f"{where} is no UTF-8: byte {error.start}; leave it out") from None

    def _label(self, found: dict[str, Any], index: int) -> str:
        feature = self._keys["label"]
        label, names = int(found[feature]), getattr(self._features[feature], "names", None)
        if label < 0:
            raise ValueError(
                f"{self._name}: example {index} has the label {label}, others have a class; leave"
                " such examples out, or give them a class of their own"
            )
        return names[label] if names else str(label)
