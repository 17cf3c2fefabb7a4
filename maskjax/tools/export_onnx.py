"""ONNX by jax2onnx: a file for each output that it can convert, parameters within."""

from collections.abc import Iterator
from importlib import metadata
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

import jax
from absl import logging

from maskjax.tools.programs import BATCH, Program, interface, leaves_of, programs
from maskjax.tools.saved import Saved
from maskjax.tools.startup import optional

OPSET, SUFFIX = 21, ".onnx"
_USE = """\
```python
import onnxruntime

session = onnxruntime.InferenceSession("{name}{suffix}")
{outputs} = session.run(None, {{{inputs}}})
```"""


def write(run: Saved, folder: Path, facts: dict[str, Any]) -> Iterator[str]:
    """Write what can be converted; ONNX has no keys, so that what is hidden is an input.

    Args:
        run: what was learned.
        folder: an empty one.
        facts: of the export; what the programs take and give is added.

    Yields:
        A line for the user an output, those that were left out among them.

    Raises:
        ValueError: jax2onnx is not installed, or can convert no output.
    """
    to_onnx = optional("jax2onnx", "onnx").to_onnx
    getLogger("onnx_ir").setLevel(ERROR)  # or it warns of every shape that it does not know
    leaves = leaves_of(run)
    made: dict[str, Program] = {}
    problems = []
    for name, program in programs(run, has_keys=False).items():
        try:
            _convert(to_onnx, program, leaves, name, folder / f"{name}{SUFFIX}")
        except Exception as error:  # whatever a converter raises for what it does not know
            logging.info("no ONNX of %s", name, exc_info=True)
            (folder / f"{name}{SUFFIX}").unlink(missing_ok=True)  # what was written until then
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            problems.append(f"{name} was left out: jax2onnx cannot convert it ({reason[:200]})")
            continue
        made[name] = program
        yield f"{name}{SUFFIX}: {', '.join(program.inputs)}; opset {OPSET}"
    if not made:
        raise ValueError(f"--format=onnx: nothing can be converted; {'; '.join(problems)}")
    yield from problems
    facts |= interface(run, made)
    facts["versions"]["jax2onnx"] = metadata.version("jax2onnx")
    first, program = next(iter(made.items()))
    inputs = ", ".join(f'"{name}": {name}' for name in program.inputs)
    outputs = ", ".join(sorted(program.outputs))
    facts["use"] = _USE.format(name=first, suffix=SUFFIX, inputs=inputs, outputs=f"({outputs},)")


def _convert(to_onnx: Any, program: Program, leaves: dict[str, Any], name: str, path: Path) -> None:
    inputs, outputs = sorted(program.inputs), sorted(program.outputs)
    structs = [
        jax.ShapeDtypeStruct((BATCH, *program.inputs[key].shape), program.inputs[key].dtype)
        for key in inputs
    ]

    def function(*arrays: Any) -> Any:
        found = program.call(leaves, dict(zip(inputs, arrays, strict=True)))
        return tuple(found[key] for key in outputs) if isinstance(found, dict) else found

    to_onnx(
        function, structs, model_name=name, opset=OPSET, return_mode="file", output_path=str(path),
        input_names=inputs, output_names=outputs,
    )  # fmt: skip
