"""What a run leaves on disk, and says: its folder's files, checkpoints, numbers.

The names here are those of the folder itself (`folder.py`); `checkpoint.py` keeps states, whose
leaves `leaves.py` names and `merge.py` puts into other states; `best.py` says which is the best,
`watch.py` whether a run still gets better; `loggers.py` writes `lines.py` of numbers, which
`trackers.py` shows elsewhere; `plan.py` says what is about to happen, `throughput.py` how fast it
goes.
"""

from maskjax.workdir.folder import (
    CHECKPOINTS,
    CONFIG,
    FIGURES,
    SUMMARY,
    check,
    claim,
    differing_keys,
    has_results,
    names_other_places,
    note,
    read_summary,
    start_anew,
    write_summary,
)
from maskjax.workdir.lines import METRICS

__all__ = [
    "CHECKPOINTS", "CONFIG", "FIGURES", "METRICS", "SUMMARY", "check", "claim", "differing_keys",
    "has_results", "names_other_places", "note", "read_summary", "start_anew", "write_summary",
]  # fmt: skip
