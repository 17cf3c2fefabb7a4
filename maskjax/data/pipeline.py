"""From examples to batches: Grain's shuffled stream to train on, padded batches to evaluate on."""

import dataclasses
import functools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import grain
import numpy as np
from absl import flags, logging

from maskjax.data.corruption import Corrupting, Corruption
from maskjax.data.groups import Grouped
from maskjax.data.processor import Example, Processor, UndecodableError
from maskjax.data.sources import Source
from maskjax.typing import Batch, Int

# So many bad files in a row are no accident.
_MAX_SKIPPED = 100
# Length of the stream that never ends: a float holds it exactly, as Grain divides lengths.
_MAX_POSITIONS = 2**50


class Row(NamedTuple):
    """One row of a batch.

    Attributes:
        example: what the processor made.
        id: index in the split's source; -1 where it only fills a batch.
        label: its class, None where the source has none.
        is_valid: False for padding and for files that cannot be decoded.
        epoch: how often the split was gone through before.
        targets: numbers that stand beside it; None where there are none.
    """

    example: Example
    id: int
    label: int | None
    is_valid: bool = True
    epoch: int = 0
    targets: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Loader:
    """From an index to a row, and from rows to a batch.

    Attributes:
        source: what to read.
        processor: what to do with it.
        bad_files: "error" or "skip".
        corruption: what is done to examples that are evaluated; None is nothing.
        num_targets: numbers that records have as "targets"; 0 where they have none.
        skipped: what was wrong with each file that this process skipped, to warn of it once;
            copies that `dataclasses.replace` makes share it.
    """

    source: Source
    processor: Processor
    bad_files: str = "error"
    corruption: Corruption | None = None
    num_targets: int = 0
    skipped: set[str] = dataclasses.field(default_factory=set, compare=False)

    def train(self, index: int, rng: np.random.Generator | None = None) -> Row:
        """Load a training example; in place of a bad file that is skipped, the next good one."""
        for position in range(index, index + _MAX_SKIPPED):
            row = self._load(position % len(self.source), rng)
            if row is not None:
                return row
        raise ValueError(f"{_MAX_SKIPPED} undecodable files in a row; check the data")

    def evaluate(self, index: int) -> Row:
        """Load without chance; not valid are padding (index -1) and skipped bad files."""
        if index >= 0:
            row = self._load(index, None)
            if row is not None and self.corruption and isinstance(self.processor, Corrupting):
                example = self.processor.corrupt(row.example, self.corruption, index)
                row = row._replace(example=example)
            if row is not None:
                return row
        return Row(self.processor.empty(), index, 0, is_valid=False)

    def _load(self, index: int, rng: np.random.Generator | None) -> Row | None:
        record = self.source[index]
        if not isinstance(record, Mapping):
            raise ValueError(
                f"example {index} of {type(self.source).__name__} is a {type(record).__name__};"
                " a source gives mappings, such as {'image': array, 'label': 3}"
            )
        try:
            example, targets = self.processor(record, rng), record.get("targets")
            return Row(example, index, record.get("label"), targets=targets)
        except UndecodableError as error:
            if self.bad_files == "error":
                is_gone = isinstance(error.__cause__, FileNotFoundError)
                advice = "bring it back" if is_gone else "remove such files"
                raise ValueError(f"{error}; {advice} or set data.bad_files='skip'") from error
            if str(error) not in self.skipped:
                self.skipped.add(str(error))
                logging.warning("skipped: %s", error)
            return None

    def collate(self, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        """Make a batch of the processor's arrays and of what rows say of themselves."""
        return self._marked(self.processor.collate([row.example for row in rows]), rows)

    def collate_group(self, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        """Make a batch of examples of one group, as small as it needs."""
        shortened: Any = self.processor
        batch = self.processor.collate([row.example for row in rows])
        return self._marked(shortened.shortened(batch), rows)

    def _marked(self, batch: Batch, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        batch = dict(batch)
        if self.source.num_classes is not None:
            batch["label"] = np.array([row.label for row in rows], np.int32)
            _check_labels(batch["label"], rows, self.source.num_classes)
        if self.num_targets:
            none = np.zeros(self.num_targets)
            targets = [none if row.targets is None else row.targets for row in rows]
            batch["targets"] = np.array(targets, np.float32).reshape(len(rows), -1)
        batch["id"] = np.array([row.id for row in rows], np.int32)
        batch["epoch"] = np.array([row.epoch for row in rows], np.int32)
        batch["is_valid"] = np.array([row.is_valid for row in rows], bool)
        return batch


def _check_labels(labels: Int[np.ndarray, "B"], rows: Sequence[Row], num_classes: int) -> None:
    """Refuse classes that are none of those that the source says there are."""
    is_wrong = (labels < 0) | (labels >= num_classes)
    if is_wrong.any():
        at = int(is_wrong.argmax())
        raise ValueError(
            f"example {rows[at].id} has label {labels[at]}, and its source says that there are"
            f" {num_classes} classes: number them from 0 to {num_classes - 1}, or mend num_classes"
        )


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
    functions of (seed, position) alone. Where examples have groups, so is the group of a batch.

    Args:
        loader: makes the examples and the batches.
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
    count, groups = len(loader.source), loader.source.groups
    if groups is None:
        stream = grain.MapDataset.range(count).seed(seed).shuffle().repeat(_MAX_POSITIONS // count)
        epoch, collate = functools.partial(_epoch, count), loader.collate
    else:
        grouped = Grouped(groups, seed, batch_size)
        stream = grain.MapDataset.range(_MAX_POSITIONS).seed(seed).map(grouped.index)
        epoch, collate = grouped.epoch, loader.collate_group
    if loader.processor.is_random:
        stream = stream.random_map(loader.train)
    else:  # resetting a generator costs more than everything else
        stream = stream.map(loader.train)
    stream = stream.map_with_index(functools.partial(_in_epoch, epoch))
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


def _epoch(count: int, position: int) -> int:
    return position // count


def _in_epoch(epoch: Callable[[int], int], position: int, row: Row) -> Row:
    """Note in which epoch a position of the stream is."""
    return row._replace(epoch=epoch(position))


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
    indices: Int[np.ndarray, "N"],
    *,
    batch_size: int,
    process_index: int,
    process_count: int,
) -> BatchIterator:
    """Iterate once over some examples; the last batch is padded.

    Args:
        loader: makes the examples and the batches.
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
    batches = examples.batch(batch_size // process_count, batch_fn=loader.collate)
    batches = batches[process_index::process_count]
    return BatchIterator(iter(batches.to_iter_dataset(_read_options(loader.source))))


def _read_options(source: Source) -> grain.ReadOptions:
    """Threads, each with a batch of its own, where examples are decoded; none for memory."""
    threads = 0 if source.in_memory else min(os.cpu_count() or 1, 16)
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
