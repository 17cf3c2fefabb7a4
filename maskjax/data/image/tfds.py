"""Prepared TensorFlow Datasets without TensorFlow: `tfds:NAME[/CONFIG][:VERSION]`."""

from typing import Any

import numpy as np

from maskjax.data.image.files import EncodedImage
from maskjax.data.image.ranges import Number, check_missing, has_own_range, measure_range
from maskjax.data.image.settings import ImageSettings
from maskjax.data.processor import Record
from maskjax.data.sources import Source, Splits, digest, register
from maskjax.data.tfds_folder import OTHER_SPLITS, files_of, open_records


class TfdsSource(Source):
    """One split of a prepared dataset, read record by record.

    Args:
        records: random access to serialised examples.
        features: the features to read (a `tfds.features.FeaturesDict` of one or two).
        input_key: the feature that is the input: an image or an array.
        label_key: the feature that is the class, or None.
        name: for messages.
        files: names and sizes of the files, and whatever else tells this split from another.
        missing: number that stands for no data, None where there is none.
    """

    def __init__(
        self,
        records,
        features,
        input_key: str,
        label_key: str | None,
        name: str,
        files: tuple[Any, ...] = (),
        missing: Number | None = None,
    ):
        import tensorflow_datasets as tfds  # slow to import

        self._records, self._features, self._name = records, features, name
        self._input_key, self._label_key, self._files = input_key, label_key, files
        feature = features[input_key]
        self._is_image = isinstance(feature, tfds.features.Image)
        self._decoders = {input_key: tfds.decode.SkipDecoding()} if self._is_image else None
        self._adds_channel = not self._is_image and len(feature.shape) == 1
        self.shape = (*feature.shape, 1) if self._adds_channel else tuple(feature.shape)
        if not self._is_image:
            sample = self._sample()
            check_missing(sample, missing, name)
            if not has_own_range(sample.dtype):
                try:
                    self.value_range = measure_range(sample, missing)
                except ValueError as error:
                    raise ValueError(f"{name}: a sample of its examples: {error}") from None
        # Test splits whose labels are kept secret hold -1 throughout.
        if label_key is not None and len(self) and self._read(0)[label_key] < 0:
            self._label_key = label_key = None
        if label_key is not None:
            self.num_classes = features[label_key].num_classes
            self.class_names = tuple(features[label_key].names)

    def _sample(self) -> np.ndarray:
        """Stored arrays that are spread over all."""
        indices = np.linspace(0, len(self) - 1, min(len(self), 256)).astype(int)
        return np.stack([np.asarray(self[int(index)]["image"]) for index in indices])

    def __len__(self) -> int:
        return len(self._records)

    def _read(self, index: int) -> dict:
        return self._features.deserialize_example_np(self._records[index], decoders=self._decoders)

    def __getitem__(self, index: int) -> Record:
        example = self._read(index)
        inputs = example[self._input_key]
        if self._is_image:
            inputs = EncodedImage(f"{self._name}, example {index},", bytes(inputs))
        elif self._adds_channel:
            inputs = inputs[..., None]
        if self._label_key is None:
            return {"image": inputs}
        label = int(example[self._label_key])
        if label < 0:
            raise ValueError(
                f"{self._name}: example {index} has the label {label}, others have a class; leave"
                " such examples out, or give them a class of their own"
            )
        return {"image": inputs, "label": label}

    def fingerprint(self) -> str:
        """Hash what is known of the files, and a fixed sample of the examples."""
        indices = np.linspace(0, len(self) - 1, min(len(self), 64)).astype(int)
        sample = [self._records[int(index)] for index in indices]
        keys = (self._input_key, self._label_key)
        return digest(super().fingerprint(), *keys, self._files, *sample)


@register("tfds")
def tfds(argument: str, settings: ImageSettings) -> Splits:
    """Open a prepared dataset in TFDS_DATA_DIR (or ~/tensorflow_datasets), in array_record format.

    NAME, then /CONFIG where it has several and :VERSION (the newest if left out). Training reads
    the split `train`, validation the first there is of validation, val and eval, test `test`.
    """
    import tensorflow_datasets as tfds  # slow to import

    name = f"data source 'tfds:{argument}'"
    builder, records = open_records(argument, name)
    input_key, label_key = _choose_features(builder.info, name)
    keys = [key for key in (input_key, label_key) if key is not None]
    features = tfds.features.FeaturesDict({key: builder.info.features[key] for key in keys})
    found = {}
    for split, names in {"train": ("train",), **OTHER_SPLITS}.items():
        part = next((each for each in names if each in records), None)
        if part is not None:
            found[split] = TfdsSource(
                records[part],
                features,
                input_key,
                label_key,
                name,
                files_of(builder, part),
                settings.missing_number,
            )
    return Splits(**found)


def _choose_features(info, name: str) -> tuple[str, str | None]:
    """Return the keys of the input and of the class label (None where there is none)."""
    import tensorflow_datasets as tfds

    features = info.features
    images = [key for key in features if isinstance(features[key], tfds.features.Image)]
    labels = [key for key in features if isinstance(features[key], tfds.features.ClassLabel)]
    supervised = info.supervised_keys or ()
    # Words, boxes and the like are neither.
    arrays = [
        key
        for key in features
        if isinstance(features[key], tfds.features.Tensor)
        and len(features[key].shape) > 0
        and np.issubdtype(features[key].np_dtype, np.number)
    ]
    inputs = [key for key in supervised[:1] if key in (*images, *arrays)] or images or arrays
    if not inputs:
        raise ValueError(f"{name} has neither images nor arrays, only {', '.join(features)}")
    labels = [key for key in supervised[1:] if key in labels] or labels
    return inputs[0], labels[0] if labels else None
