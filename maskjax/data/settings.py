"""The keys of `config.data` that sources of every modality have, read and checked."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from ml_collections import ConfigDict

from maskjax.keys import KEYS, RENAMED
from maskjax.spelling import unknown_name

MAX_WORKERS = 512  # each is a process of some 100 MB

_FLOATS = ("validation_fraction", "test_fraction", "train_fraction", "imbalance", "label_noise")

Config = ConfigDict | Mapping[str, Any]
T = TypeVar("T", bound="Settings")


def default_of(name: str) -> Any:
    """Return the default of a key of `config.data`."""
    return KEYS[f"data.{name}"].default


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to read: one field for each key of `config.data`.

    A modality's own keys are the fields of a dataclass that is derived from this one.

    Attributes:
        source: name of a source, then where it needs one a colon and its argument
            (`digits`, `folder:DIR`; `maskjax.data.SOURCES` lists the names).
        validation_source: where validation examples come from; "" takes them from `source`.
        test_source: where test examples come from; "" takes them from `source`.
        num_workers: processes that prepare training batches, at most 512; 0 prepares them in this
            process.
        validation_fraction: share of the training examples that is held out, in [0, 1), where no
            validation examples are set apart.
        test_fraction: share that is held out where neither validation nor test examples are set
            apart; both fractions together are below 1.
        bad_files: "error" refuses undecodable files, "skip" leaves them out and logs them.
        limit: number of training examples to keep, a fixed subset for all seeds; 0 keeps all.
        train_fraction: share of the training examples to keep, in (0, 1], of each class where
            labels are known; which ones depends on the seed.
        imbalance: of the first class to the last, at least 1: training examples are kept so that
            class counts fall geometrically.
        label_noise: share of the training examples, in [0, 1), that get the label of another class.

    Raises:
        ValueError: where a value is outside what is stated here.
    """

    source: str = default_of("source")
    validation_source: str = default_of("validation_source")
    test_source: str = default_of("test_source")
    num_workers: int = default_of("num_workers")
    validation_fraction: float = default_of("validation_fraction")
    test_fraction: float = default_of("test_fraction")
    bad_files: str = default_of("bad_files")
    limit: int = default_of("limit")
    train_fraction: float = default_of("train_fraction")
    imbalance: float = default_of("imbalance")
    label_noise: float = default_of("label_noise")

    @classmethod
    def from_config(cls: type[T], config: Config) -> T:
        """Read the settings from a mapping; keys left out take their defaults.

        Args:
            config: a ConfigDict or dict with keys named like the attributes.

        Returns:
            The checked settings.

        Raises:
            ValueError: for an unknown key, one of another modality that is set, or a value out of
                range.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        values = dict(config.items())
        for name in set(values) - set(fields):
            if f"data.{name}" in RENAMED:
                raise ValueError(f"config.data.{name} is {RENAMED[f'data.{name}']} now")
            key = KEYS.get(f"data.{name}")
            if key is None:
                raise ValueError(unknown_name("key in config.data", name, fields))
            if values.pop(name) != key.default:  # every config has the keys of images
                raise ValueError(
                    f"data.{name} says nothing of examples of"
                    f" {values.get('source', cls.source)!r}: leave it at {key.default!r}"
                )
        return cls(**cls.convert(values))

    @classmethod
    def convert(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Give the values that a config holds the types of the fields."""
        for name in _FLOATS:
            if name in values:
                values[name] = float(values[name])
        return values

    def __post_init__(self):
        for name in ("validation_fraction", "test_fraction", "label_noise"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"data.{name}={getattr(self, name)} must be in [0, 1)")
        if not 0 < self.train_fraction <= 1:
            raise ValueError(f"data.train_fraction={self.train_fraction} must be in (0, 1]")
        if not 1 <= self.imbalance < math.inf:
            raise ValueError(
                f"data.imbalance={self.imbalance} must be at least 1, which is off, and finite: it "
                "is how many examples of the first class there are to one of the last"
            )
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"data.validation_fraction={self.validation_fraction} and data.test_fraction="
                f"{self.test_fraction} leave nothing to train on; lower one of them"
            )
        if self.bad_files not in ("error", "skip"):
            raise ValueError(f"data.bad_files={self.bad_files!r} must be 'error' or 'skip'")
        if self.num_workers > MAX_WORKERS:
            raise ValueError(f"data.num_workers={self.num_workers} must be at most {MAX_WORKERS}")
        for name in ("num_workers", "limit"):
            if getattr(self, name) < 0:
                raise ValueError(f"data.{name}={getattr(self, name)} must not be negative")
