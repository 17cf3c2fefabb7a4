"""What a run's exports take on disk and in time, each in the process that its users have.

    pip install -e '.[onnx,savedmodel]'
    python tests/benchmarks/compare_exports.py --workdir=RUN --rounds=5

It exports the run in every format, then times one output, with its preprocessing, of 1 and of 16
examples: maskjax's own program, StableHLO by JAX alone, ONNX by onnxruntime, SavedModel by
TensorFlow, each in a process of its own, one after the other in each round. What counts is the
median over rounds of the median call. "Ready" is from the opened file to the first answer, imports
left out; the disk holds what that output needs, and of the run the checkpoint, with its moments.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rounds

SIZES = (1, 16)
EXPORTS = {"stablehlo": "JAX alone", "onnx": "onnxruntime", "savedmodel": "TensorFlow"}
RUN = "run"
Call = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def open_run(place: Path, output: str) -> Call:
    """The own program of maskjax, compiled for each size."""
    import jax

    from maskjax.tools.programs import leaves_of, programs
    from maskjax.tools.saved import open_saved

    saved = open_saved(place, needs_examples=False)
    leaves, program = jax.device_put(leaves_of(saved)), programs(saved)[output]
    call = jax.jit(program.call)
    return lambda rows: _named(output, call(leaves, {key: rows[key] for key in program.inputs}))


def open_stablehlo(place: Path, output: str) -> Call:
    """As the export's README.md says."""
    import jax
    from jax import export

    params = jax.device_put(dict(np.load(place / "params.npz")))
    program = export.deserialize(bytearray((place / f"{output}.stablehlo").read_bytes()))
    call = jax.jit(program.call)
    return lambda rows: _named(output, call(params, dict(rows)))


def open_onnx(place: Path, output: str) -> Call:
    """As the export's README.md says."""
    import onnxruntime

    session = onnxruntime.InferenceSession(place / f"{output}.onnx")
    names = [each.name for each in session.get_outputs()]
    return lambda rows: dict(zip(names, session.run(None, dict(rows)), strict=True))


def open_savedmodel(place: Path, output: str) -> Call:
    """As the export's README.md says."""
    import tensorflow as tf

    model = tf.saved_model.load(str(place / "1"))

    def call(rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = model.signatures[output](**{key: tf.constant(x) for key, x in rows.items()})
        return {key: x.numpy() for key, x in found.items()}

    return call


OPEN = {
    RUN: open_run,
    "stablehlo": open_stablehlo,
    "onnx": open_onnx,
    "savedmodel": open_savedmodel,
}


def _named(output: str, found: Any) -> dict[str, np.ndarray]:
    rows = found if isinstance(found, Mapping) else {output: found}
    return {key: np.asarray(x) for key, x in rows.items()}


def work(options: argparse.Namespace) -> None:
    """Time one form: print seconds, and write what it answered beside its inputs."""
    rows = dict(np.load(options.inputs))
    _import(options.worker)
    begun = time.perf_counter()
    call = OPEN[options.worker](options.place, options.output)
    call({key: x[:1] for key, x in rows.items()})
    found: dict[str, float] = {"ready": time.perf_counter() - begun}
    for size in SIZES:
        some = {key: x[:size] for key, x in rows.items()}
        found[str(size)] = statistics.median(rounds.seconds(partial(call, some), options.steps))
    np.savez(options.inputs.with_suffix(f".{options.worker}.npz"), **call(rows))
    print(json.dumps(found))


def _import(worker: str) -> None:
    """Import what opening imports, so that it is not timed."""
    if worker == "onnx":
        import onnxruntime  # noqa: F401
    elif worker == "savedmodel":
        import tensorflow  # noqa: F401
    else:
        from jax import export

        export.default_export_platform()  # starts the device
        if worker == RUN:
            import maskjax.tools.programs  # noqa: F401


def write_inputs(place: Path, output: str, path: Path) -> str:
    """Write random rows for a program; its name, the first where "" is asked for."""
    facts = json.loads((place / "model.json").read_text())
    output = output or next(iter(facts["programs"]))
    if output not in facts["programs"]:
        raise SystemExit(f"--output={output}: use one of {', '.join(facts['programs'])}")
    generator, rows = np.random.default_rng(0), {}
    for name in facts["programs"][output]["inputs"]:
        entry = facts["inputs"][name]
        shape = (max(SIZES), *entry["shape"][1:])
        if "default" in entry:
            rows[name] = np.full(shape, entry["default"], entry["dtype"])
        elif np.issubdtype(entry["dtype"], np.integer):
            rows[name] = generator.integers(0, 256, shape).astype(entry["dtype"])
        else:
            rows[name] = generator.uniform(size=shape).astype(entry["dtype"])
    np.savez(path, **rows)
    return output


def weight(form: str, place: Path, output: str) -> int:
    """Bytes on disk."""
    if form == RUN:
        newest = max((place / "checkpoints").iterdir(), key=lambda each: int(each.name))
        files: Iterator[Path] = newest.rglob("*")
    elif form == "savedmodel":
        files = (place / "1").rglob("*")
    else:
        files = itertools.chain(place.glob(f"{output}.*"), place.glob("params.npz"))
    return sum(file.stat().st_size for file in files if file.is_file())


def exported(workdir: Path, folder: Path) -> dict[str, Path]:
    """Export a run in every format that can be; what cannot is said."""
    places = {RUN: workdir}
    for format in EXPORTS:
        flags = [f"--workdir={workdir}", f"--output={folder / format}", f"--format={format}"]
        command = [sys.executable, str(rounds.ROOT / "launch" / "export.py"), *flags]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode:
            print(f"{format} is left out: {(made.stderr.splitlines() or ['?'])[-1]}", flush=True)
        else:
            places[format] = folder / format
    return places


def compare(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Lines of the table."""
    places = exported(options.workdir.absolute(), folder)
    if "stablehlo" not in places:
        raise SystemExit("nothing to compare with")
    output, commands = options.output, {}
    for form, place in places.items():
        inputs = folder / f"{form}.npz"
        output = write_inputs(places["stablehlo"] if form == RUN else place, output, inputs)
        flags = [f"--worker={form}", f"--inputs={inputs}", f"--place={place}", f"--output={output}"]
        commands[form] = [sys.executable, __file__, *flags, f"--steps={options.steps}"]
    found = rounds.alternate(commands, options.rounds)
    yield f"{output} of {options.workdir}, {options.rounds} rounds"
    yield ""
    yield "| | runs in | MB on disk | ready, s | 1 example, ms | 16 examples, ms | differs by |"
    yield "|---|---|---|---|---|---|---|"
    given, truth = np.load(folder / f"{RUN}.npz"), np.load(folder / f"{RUN}.{RUN}.npz")
    for form, times in found.items():
        ready, *calls = (
            statistics.median(each[key] for each in times) for key in ("ready", *map(str, SIZES))
        )
        cells = [form, EXPORTS.get(form, "maskjax")]
        cells.append(f"{weight(form, places[form], output) / 1e6:.2f}")
        cells += [f"{ready:.2f}", *(f"{1e3 * each:.2f}" for each in calls)]
        is_same = given.files == np.load(folder / f"{form}.npz").files  # else the masks are not
        rows = np.load(folder / f"{form}.{form}.npz")
        apart = max(np.abs(rows[key] * 1.0 - truth[key]).max() for key in truth)
        cells.append(f"{apart:.1e}" if is_same and form != RUN else "")
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Export, alternate, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=Path, help="folder of a run")
    parser.add_argument("--output", default="", help="what is computed; the first by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="timed calls in each round")
    parser.add_argument("--worker", choices=list(OPEN))
    parser.add_argument("--inputs", type=Path)
    parser.add_argument("--place", type=Path)
    options = parser.parse_args()
    if options.worker:
        return work(options)
    if options.workdir is None:
        parser.error("give --workdir=RUN")
    with tempfile.TemporaryDirectory() as scratch:
        for line in compare(options, Path(scratch)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
