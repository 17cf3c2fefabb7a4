"""SavedModel by orbax-export: a signature for each output, for TensorFlow and TF Serving."""

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from maskjax.tools.programs import BATCH, Program, interface, leaves_of, programs
from maskjax.tools.saved import Saved
from maskjax.tools.startup import optional

VERSION = "1"  # the folder that TF Serving looks for
_DEFAULT = "serving_default"
_USE = """\
```python
import tensorflow as tf

model = tf.saved_model.load("{version}")
rows = model.signatures["{name}"]({inputs})
```"""


def write(run: Saved, folder: Path, facts: dict[str, Any]) -> Iterator[str]:
    """Write the outputs of a run as signatures of their names, and the first as the default too.

    Args:
        run: what was learned.
        folder: an empty one.
        facts: of the export; what the programs take and give is added.

    Yields:
        A line for the user a signature.

    Raises:
        ValueError: TensorFlow or orbax-export is not installed.
    """
    tf: Any = optional("tensorflow", "savedmodel")
    orbax: Any = optional("orbax.export", "savedmodel")
    leaves, made = leaves_of(run), programs(run)
    first = next(iter(made))

    def inputs_of(program: Program) -> dict[str, Any]:
        return {
            name: tf.TensorSpec([None, *struct.shape], struct.dtype.name, name=name)
            for name, struct in program.inputs.items()
        }

    def rows_of(name: str, found: Any) -> dict[str, Any]:
        return found if isinstance(found, dict) else {name: found}

    def called(name: str, program: Program) -> Any:
        return lambda params, inputs: rows_of(name, program.call(params, inputs))

    module = orbax.JaxModule(
        leaves,
        {name: called(name, program) for name, program in made.items()},
        input_polymorphic_shape={
            name: dict.fromkeys(program.inputs, f"{BATCH}, ...") for name, program in made.items()
        },
    )
    configs = [
        orbax.ServingConfig(
            [name, _DEFAULT] if name == first else name,
            input_signature=[inputs_of(program)],
            method_key=name,
        )
        for name, program in made.items()
    ]
    orbax.ExportManager(module, configs).save(str(folder / VERSION))
    facts |= interface(run, made)
    facts["versions"] |= {
        "orbax-export": metadata.version("orbax-export"),
        "tensorflow": tf.__version__,
    }
    inputs = ", ".join(f"{name}={name}" for name in made[first].inputs)
    facts["use"] = _USE.format(version=VERSION, name=first, inputs=inputs)
    for name, program in made.items():
        yield f"{VERSION}/: signature {name} of {', '.join(program.inputs)}"
