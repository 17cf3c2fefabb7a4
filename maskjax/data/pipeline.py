"""From examples to batches: Grain's shuffled stream to train on, padded batches to evaluate on."""

import dataclasses
import functools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import grain
import numpy as np
from absl import flags, logging

from maskjax.data.images import UndecodableError
from maskjax.data.sources import Source
from maskjax.data.transforms import Transform
from maskjax.typing import Batch, Float, Int, Num

# So many bad files in a row are no accident.
_MAX_SKIPPED = 100
# Length of the stream that never ends: a float holds it exactly, as Grain divides lengths.
_MAX_POSITIONS = 2**50


class Example(NamedTuple):
    """One row of a batch.

    Attributes:
        inputs: [*spatial, C].
        label: its class, None where there are none.
        id: index in the split's source; -1 where it only fills a batch.
        is_valid: False for padding and for files that cannot be decoded.
        epoch: how often the split was gone through before.
    """

    inputs: np.ndarray
    label: int | None
    id: int
    is_valid: bool = True
    epoch: int = 0


@dataclasses.dataclass(frozen=True)
class Loader:
    """From an index to a transformed example.

    Attributes:
        source: what to read.
        transform: what to do with it.
        shape: of the result, [*spatial, C]; an example of another shape is an error.
        bad_files: "error" or "skip".
        skipped: what was wrong with each file that this process skipped, to warn of it once;
            copies that `dataclasses.replace` makes share it.
    """

    source: Source
    transform: Transform
    shape: tuple[int, ...]
    bad_files: str = "error"
    skipped: set[str] = dataclasses.field(default_factory=set, compare=False)

    def train(self, index: int, rng: np.random.Generator | None = None) -> Example:
        """Load a training example; in place of a bad file that is skipped, the next good one."""
        for position in range(index, index + _MAX_SKIPPED):
            example = self._load(position % len(self.source), rng)
            if example is not None:
                return example
        raise ValueError(f"{_MAX_SKIPPED} undecodable files in a row; check the data")

    def evaluate(self, index: int) -> Example:
        """Load without augmentation; not valid are padding (index -1) and skipped bad files."""
        if index >= 0:
            example = self._load(index, None)
            if example is not None:
                return example
        return Example(np.zeros(self.shape, np.uint8), 0, index, is_valid=False)

    def _load(self, index: int, rng: np.random.Generator | None) -> Example | None:
        record = self.source[index]
        try:
            inputs = self.transform(record.inputs, rng)
        except UndecodableError as error:
            if self.bad_files == "error":
                is_gone = isinstance(error.__cause__, FileNotFoundError)
                advice = "bring it back" if is_gone else "remove such files"
                raise ValueError(f"{error}; {advice} or set data.bad_files='skip'") from error
            if str(error) not in self.skipped:
                self.skipped.add(str(error))
                logging.warning("skipped: %s", error)
            return None
        if inputs.shape != self.shape:
            raise ValueError(
                f"an example has shape {inputs.shape} where {self.shape} is expected;"
                " set data.size (and data.channels)"
            )
        return Example(inputs, record.label, index)


@dataclasses.dataclass(frozen=True)
class Collate:
    """Stacks examples and normalises them: (x - mean) / std for x in [0, 1].

    Attributes:
        mean: per channel [C] float32.
        std: per channel [C] float32.
        has_labels: whether batches carry "label".
        marks_known: whether batches carry "is_known": False where there is no number (NaN in the
            examples), and "inputs" is 0, the channel's mean.
    """

    mean: np.ndarray
    std: np.ndarray
    has_labels: bool
    marks_known: bool = False

    def __call__(self, examples: Sequence[Example]) -> dict[str, np.ndarray]:
        """Return {"inputs": float32 [B, *spatial, C], "label": int32 [B], ...}."""
        arrays = [example.inputs for example in examples]
        kinds = {array.dtype for array in arrays}
        if len(kinds) > 1:  # 8 and 16 bits in one folder
            arrays = [a.astype(np.float32) / 255 if a.dtype == np.uint8 else a for a in arrays]
        batch = {"inputs": self.normalise(np.stack(arrays))}
        if self.has_labels:
            batch["label"] = np.array([example.label for example in examples], np.int32)
        if self.marks_known:
            batch["is_known"] = ~np.isnan(batch["inputs"])
            batch["inputs"][~batch["is_known"]] = 0
        batch["id"] = np.array([example.id for example in examples], np.int32)
        batch["epoch"] = np.array([example.epoch for example in examples], np.int32)
        batch["is_valid"] = np.array([example.is_valid for example in examples], bool)
        return batch

    def normalise(self, x: Num[np.ndarray, "B *spatial C"]) -> Float[np.ndarray, "B *spatial C"]:
        """Return (x / 255 if uint8 else x) in normalised units."""
        unit = 255 if x.dtype == np.uint8 else 1
        # Whole rows rather than single pixels in the inner loop: NumPy is slow on an axis of 3.
        row = x.shape[-2]
        scale = np.tile((1 / (unit * self.std.astype(np.float64))).astype(np.float32), row)
        shift = np.tile((-self.mean / self.std.astype(np.float64)).astype(np.float32), row)
        flat = np.multiply(x.reshape(-1, len(scale)), scale, dtype=np.float32)
        flat += shift
        return flat.reshape(x.shape)


class BatchIterator(Iterator[Batch]):
    """A Grain iterator that is closed when it is dropped and at the latest at exit.

    Grain's own clean-up prints errors when it only runs while the interpreter shuts down. Batches
    from worker processes are copied out of shared memory, so that they are plain arrays.
    """

    def __init__(self, iterator: grain.DatasetIterator):
        self._holder = [iterator]
        self.close = weakref.finalize(self, _close, self._holder)

    def __next__(self) -> Batch:
        if not self._holder:
            raise StopIteration
        try:
            batch = next(self._holder[0])
        except StopIteration:
            self.close()
            raise
        return {key: x if type(x) is np.ndarray else np.array(x) for key, x in batch.items()}


def _close(holder: list[grain.DatasetIterator]):
    while holder:
        holder.pop().close()


def train_batches(
    loader: Loader,
    collate: Collate,
    *,
    seed: int,
    batch_size: int,
    start_step: int,
    process_index: int,
    process_count: int,
    num_workers: int,
) -> BatchIterator:
    """Iterate over shuffled, augmented batches without end.

    Batch t holds positions [t * batch_size, (t + 1) * batch_size) of a stream in which every epoch
    is a fresh permutation; each process gets its contiguous part of it. Order and augmentation are
    functions of (seed, position) alone.

    Args:
        loader: makes the examples.
        collate: makes the batches.
        seed: at least 0.
        batch_size: of all processes together.
        start_step: t of the first batch; reached without reading what comes before.
        process_index: which part of each batch is wanted.
        process_count: number of parts.
        num_workers: processes that prepare batches; 0 prepares them here, with threads where
            examples have to be read and decoded.

    Returns:
        An iterator; `close()` ends its workers.
    """
    count = len(loader.source)
    stream = grain.MapDataset.range(count).seed(seed).shuffle().repeat(_MAX_POSITIONS // count)
    if loader.transform.is_random:
        stream = stream.random_map(loader.train)
    else:  # resetting a generator costs more than everything else
        stream = stream.map(loader.train)
    stream = stream.map_with_index(functools.partial(_in_epoch, count))
    batches = stream.batch(batch_size // process_count, batch_fn=collate)
    batches = batches[start_step * process_count + process_index :: process_count]
    if not num_workers:
        return BatchIterator(iter(batches.to_iter_dataset(_read_options(loader.source))))
    if not flags.FLAGS.is_parsed():  # Grain reads flags of its own, also outside absl's app.run
        flags.FLAGS.mark_as_parsed()
    options = grain.MultiprocessingOptions(num_workers=num_workers, per_worker_buffer_size=2)
    read_options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    stream = batches.to_iter_dataset(read_options).mp_prefetch(options, _start_worker)
    return BatchIterator(iter(stream))


def _in_epoch(count: int, position: int, example: Example) -> Example:
    """Note in which epoch of `count` examples a position of the stream is."""
    return example._replace(epoch=position // count)


def _start_worker(worker_index: int, worker_count: int) -> None:
    """Leave SIGTERM and Ctrl-C, which whole groups receive, to the parent, and end with it."""
    del worker_index, worker_count
    for which in (signal.SIGTERM, signal.SIGINT):
        signal.signal(which, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent to end, killed or not, and end this process at once."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def eval_batches(
    loader: Loader,
    collate: Collate,
    indices: Int[np.ndarray, "N"],
    *,
    batch_size: int,
    process_index: int,
    process_count: int,
) -> BatchIterator:
    """Iterate once over some examples; the last batch is padded.

    Args:
        loader: makes the examples.
        collate: makes the batches.
        indices: of the examples in their source, in the order that is wanted.
        batch_size: of all processes together.
        process_index: which part of each batch is wanted.
        process_count: number of parts; all processes get the same number of batches.

    Returns:
        A finite iterator.
    """
    padding = np.full(-len(indices) % batch_size, -1)
    padded = np.concatenate([indices, padding]).tolist()
    examples = grain.MapDataset.source(padded).map(loader.evaluate)
    batches = examples.batch(batch_size // process_count, batch_fn=collate)
    batches = batches[process_index::process_count]
    return BatchIterator(iter(batches.to_iter_dataset(_read_options(loader.source))))


def _read_options(source: Source) -> grain.ReadOptions:
    """Threads, each with a batch of its own, where examples are decoded; none for memory."""
    threads = 0 if source.in_memory else min(os.cpu_count() or 1, 16)
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
