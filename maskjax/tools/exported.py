"""An export at work: its programs, called with examples as the run's processor makes them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export as jax_export

from maskjax.data import Example, Processor
from maskjax.tools.export import MODEL
from maskjax.tools.export_stablehlo import PARAMS, SUFFIX
from maskjax.tools.raw import raw_batch
from maskjax.tools.saved import described_run


class Exported:
    """A folder that launch/export.py wrote as stablehlo.

    Attributes:
        folder: of the export.
        facts: what its model.json says.
        config: of the run that was exported.
        processor: of the run's data.
        class_names: in label order; () where classes have no names.
    """

    def __init__(self, folder: Path):
        """Open it; a program is read when it is first called.

        Raises:
            FileNotFoundError: it is no export.
            ValueError: of another format, or damaged.
        """
        self.folder, self.facts = folder, check(folder)
        self.config, data = described_run(folder / MODEL)
        self.processor: Processor = data.processor
        self.class_names: tuple[str, ...] = tuple(data.class_names or ())
        with np.load(folder / PARAMS, allow_pickle=False) as file:
            self._leaves = jax.device_put(dict(file))
        self._calls: dict[str, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the outputs."""
        return tuple(self.facts["programs"])

    def inputs_of(self, name: str) -> tuple[str, ...]:
        """Name what the program of an output takes."""
        return tuple(self.facts["programs"][name]["inputs"])

    def raw(self, examples: Sequence[Example], **given: Any) -> dict[str, np.ndarray]:
        """Make a batch for any of the programs.

        Args:
            examples: as the processor makes them, at least one.
            **given: one number an example, "index" or "mask_ratio"; else their defaults.
        """
        batch = raw_batch(self.processor, examples)
        for name, entry in self.facts["inputs"].items():
            if "default" in entry:
                values = given.get(name, [entry["default"]] * len(examples))
                batch[name] = np.asarray(values, entry["dtype"])
        return batch

    def __call__(self, name: str, raw: Mapping[str, np.ndarray]) -> Any:
        """Compute an output of a batch; each size of batch is compiled once.

        Args:
            name: of the output.
            raw: see `raw`; entries that this program does not take are left out.

        Returns:
            NumPy arrays [B, ...], one or a dict of them.
        """
        if name not in self._calls:
            content = (self.folder / f"{name}{SUFFIX}").read_bytes()
            self._calls[name] = jax.jit(jax_export.deserialize(bytearray(content)).call)
        inputs = {key: raw[key] for key in self.inputs_of(name)}
        return jax.tree.map(np.asarray, self._calls[name](self._leaves, inputs))


def check(folder: Path) -> dict[str, Any]:
    """Read what an export says of itself, without opening its programs.

    Raises:
        FileNotFoundError: it is no export.
        ValueError: of another format.
    """
    if not (folder / MODEL).is_file():
        raise FileNotFoundError(
            f"{folder} holds no exported programs: give a folder that launch/export.py "
            "--format=stablehlo wrote"
        )
    facts = json.loads((folder / MODEL).read_text())
    if facts["format"] != "stablehlo":
        raise ValueError(
            f"{folder} is an export as {facts['format']}, which JAX does not run: export the run "
            "with --format=stablehlo"
        )
    return facts
