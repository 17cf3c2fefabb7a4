"""StableHLO: one serialised program an output, the parameters beside them; JAX alone runs them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export as jax_export

from maskjax.tools.programs import (
    PLATFORMS,
    Program,
    interface,
    leaves_of,
    programs,
    symbolic,
)
from maskjax.tools.saved import Saved

PARAMS, SUFFIX = "params.npz", ".stablehlo"
_USE = """\
```python
import jax, numpy as np
from jax import export  # needs the package flatbuffers

params = dict(np.load("{params}"))
with open("{name}{suffix}", "rb") as file:
    program = export.deserialize(bytearray(file.read()))
rows = program.call(params, {{{inputs}}})
```"""


def write(run: Saved, folder: Path, facts: dict[str, Any]) -> Iterator[str]:
    """Write the programs of a run and its parameters.

    Args:
        run: what was learned.
        folder: an empty one.
        facts: of the export, for model.json; what the programs take and give is added.

    Yields:
        A line for the user a program.
    """
    leaves = leaves_of(run)
    with open(folder / PARAMS, "wb") as file:
        np.savez(file, **leaves)  # pyright: ignore[reportArgumentType]
    made = programs(run)
    for name, program in made.items():
        exported = _exported(program, leaves)
        (folder / f"{name}{SUFFIX}").write_bytes(exported.serialize())
        yield f"{name}{SUFFIX}: {', '.join(program.inputs)}, on {', '.join(exported.platforms)}"
    facts |= interface(run, made)
    first, program = next(iter(made.items()))
    inputs = ", ".join(f'"{name}": {name}' for name in program.inputs)
    facts["use"] = _USE.format(params=PARAMS, name=first, suffix=SUFFIX, inputs=inputs)


def _exported(program: Program, leaves: Any) -> jax_export.Exported:
    """Serialise for every kind of device, or for this one where the program is made for it."""
    structs = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), leaves)
    function = jax.jit(program.call)
    try:
        return jax_export.export(function, platforms=PLATFORMS)(structs, symbolic(program.inputs))
    except (ValueError, NotImplementedError):  # cuDNN's attention
        return jax_export.export(function)(structs, symbolic(program.inputs))
