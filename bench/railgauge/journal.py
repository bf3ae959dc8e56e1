"""The run folder: `plan.json`, `journal.jsonl`, `samples/`, `environment.json`, `audit.json`.

A journal is append-only, one JSON record a line (`railgauge.records`), flushed and fsynced; samples
are fsynced before the line that names them, so that a run killed at any moment keeps every finished
case. A last line without its newline is a case that was being written: readers drop it, a resumed
run cuts it.
"""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from railgauge.auditing.records import FILE as AUDIT
from railgauge.auditing.records import Stored, Taken
from railgauge.errors import EXIT_INTERRUPTED, NotMeasuredError, UsageError
from railgauge.plan import Plan
from railgauge.rank_arrays import count_ranks
from railgauge.records import FORMAT, Block, End, FlowBlock, Record, Result, Run

_MAY_CHANGE = ("timeout",)  # it has no part in what is measured: a resumed run may be more patient
PLAN, JOURNAL, SAMPLES, ENVIRONMENT = "plan.json", "journal.jsonl", "samples", "environment.json"


class Folder:
    """A run folder for writing: rank 0 owns the journal, the first rank of a node its samples."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made = time.time()
        self._release: Callable[[], object] = lambda: None

    # opening ------------------------------------------------------------------------------------

    def claim(self, plan: Plan, resume: bool) -> list[Result]:
        """Make or reopen the folder for `plan`, for this process alone; what it holds already.

        Raises UsageError where the folder holds another plan, or this one without `resume`.
        """
        stored = self.path / PLAN
        try:
            if stored.exists():
                self._compare(plan, read_stored_plan(self.path), resume)
                self._lock()
                return self._reopen()
            self._check_new(resume)
            (self.path / SAMPLES).mkdir(parents=True, exist_ok=True)
            self._lock()
            write_synced(stored, msgspec.json.format(msgspec.json.encode(plan), indent=1))
            return []
        except OSError as error:
            raise UsageError(
                f"--output {self.path}: {error.strerror or error}.\n"
                "  expected: a folder that this user may write\n  next: --output ANOTHER_FOLDER"
            ) from None

    def _check_new(self, resume: bool) -> None:
        if resume:
            raise UsageError(
                f"--resume: {self.path} holds no run.\n  next: railgauge run --output {self.path}"
            )
        if (self.path / JOURNAL).exists() and (self.path / JOURNAL).stat().st_size:
            raise UsageError(
                f"--output {self.path} holds a {JOURNAL} without its {PLAN}.\n"
                "  next: --output ANOTHER_FOLDER"
            )

    def _lock(self) -> None:
        """Keep other runs out for as long as this process lives (where the file system can)."""
        descriptor = os.open(self.path / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        self._release = weakref.finalize(self, os.close, descriptor)
        if not lock(descriptor):
            raise UsageError(
                f"--output {self.path}: another run is writing there.\n"
                "  next: wait for its end, or --output ANOTHER_FOLDER"
            )

    def release(self) -> None:
        """Let other runs in again; the end of the process does the same."""
        self._release()

    def _compare(self, plan: Plan, stored: Plan, resume: bool) -> None:
        fields = [field for field in Plan.__struct_fields__ if field not in _MAY_CHANGE]
        differ = [f for f in fields if getattr(plan, f) != getattr(stored, f)]
        if differ:
            f = differ[0]
            raise UsageError(
                f"--output {self.path} holds another plan: {', '.join(differ)} differ"
                f" ({f}: {getattr(stored, f)!r} there, {getattr(plan, f)!r} asked).\n"
                "  next: --output ANOTHER_FOLDER, or the options of that run with --resume"
            )
        if not resume:
            raise UsageError(
                f"--output {self.path} already holds this run.\n"
                "  next: --resume to measure what is missing, or --output ANOTHER_FOLDER"
            )

    def _reopen(self) -> list[Result]:
        """Cut off what was being written when the run was killed; what is whole."""
        records, whole = _read(self.path / JOURNAL)
        _cut(self.path / JOURNAL, whole)
        finished = [record for record in records if isinstance(record, Result)]
        ends: dict[int, int] = {}
        for result in finished:
            stored = [(block.node, block_end(result, block)) for block in result.samples]
            stored += [(flows.node, flows_end(flows)) for flows in result.flows]
            for node, end in stored:
                ends[node] = max(ends.get(node, 0), end)
        for path in (self.path / SAMPLES).glob("node*.i64"):
            _cut(path, ends.pop(int(path.stem.removeprefix("node")), 0))
        if ends:
            raise NotMeasuredError(
                f"{sample_path(self.path, min(ends))} is gone, which the journal speaks of.\n"
                "  next: --output ANOTHER_FOLDER"
            )
        return finished

    # writing ------------------------------------------------------------------------------------

    def append(self, record: Record) -> None:
        """Add one line to the journal and see it on the disk."""
        with (self.path / JOURNAL).open("ab") as file:
            file.write(msgspec.json.encode(record) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def extend(self, records: Iterable[Record]) -> None:
        """Add many lines at once, for a journal that is made of what is known already."""
        with (self.path / JOURNAL).open("ab") as file:
            file.writelines(msgspec.json.encode(record) + b"\n" for record in records)
            file.flush()
            os.fsync(file.fileno())

    def give_up(self, message: str, exit_code: int) -> None:
        """Write the end of a run whose ranks cannot; nothing where it has ended or is not ours.

        Ours began after this object was made: a run that was refused, because the folder holds
        another one, has no word to say in that one's journal.
        """
        try:
            records, whole = _read(self.path / JOURNAL)
            runs = [record for record in records if isinstance(record, Run)]
            if not runs or runs[-1].started < self._made or isinstance(records[-1], End):
                return
            _cut(self.path / JOURNAL, whole)
            verdict = "INTERRUPTED" if exit_code == EXIT_INTERRUPTED else "ERROR"
            end = End(verdict=verdict, exit_code=exit_code, finished=time.time(), message=message)
            self.append(end)
        except (NotMeasuredError, OSError):
            return  # the error that ends the run is said; this one would hide it

    def append_samples(self, node: int, rows: npt.NDArray[np.int64]) -> int:
        """Add a block to the node's file, see it on the disk; returns its offset in bytes."""
        with sample_path(self.path, node).open("ab") as file:
            offset = file.tell()
            file.write(np.ascontiguousarray(rows).tobytes())
            file.flush()
            os.fsync(file.fileno())
        return offset

    def write_environment(self, facts: dict[str, Any]) -> None:
        write_synced(
            self.path / ENVIRONMENT, msgspec.json.format(msgspec.json.encode(facts), indent=1)
        )

    def write_audit(self, taken: Sequence[Taken]) -> None:
        """What the first rank of every node read of its configuration: `railgauge audit --stored`."""
        write_synced(self.path / AUDIT, msgspec.json.encode(Stored(tuple(taken))))


def sample_path(folder: Path, node: int) -> Path:
    """The file with the raw samples of one node."""
    return folder / SAMPLES / f"node{node}.i64"


def lock(descriptor: int) -> bool:
    """Lock an open file for as long as it is open, or this process lives; False where another one has it.

    A file system without locks lets everybody in.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def block_end(result: Result, block: Block) -> int:
    """The byte after a block in its node's file."""
    all_groups = "rank" in block.columns and not block.ranks  # of a journal before format 5
    rows = len(result.groups) if all_groups else count_ranks(block.ranks)
    values = rows * result.groups[0].iterations * len(block.columns)
    return block.offset + values * np.dtype(np.int64).itemsize


def flows_end(block: FlowBlock) -> int:
    """Offset of the first byte behind the times of a node's flows."""
    return block.offset + len(block.flows) * block.iterations * np.dtype(np.int64).itemsize


def _cut(path: Path, length: int) -> None:
    """Leave the first `length` bytes; raises NotMeasuredError where the file is shorter."""
    found = path.stat().st_size if path.exists() else 0
    if found < length:
        raise NotMeasuredError(
            f"{path}: {found} of {length} bytes are left that the journal speaks of.\n"
            "  next: --output ANOTHER_FOLDER"
        )
    if found > length:
        with path.open("r+b") as file:
            file.truncate(length)
            os.fsync(file.fileno())


def write_synced(path: Path, data: bytes) -> None:
    """The whole file or nothing, also when this process is killed here."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(data + b"\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)


# reading ----------------------------------------------------------------------------------------


def read_stored_plan(folder: Path) -> Plan:
    """The plan of a run folder; raises NotMeasuredError where there is none."""
    try:
        return msgspec.json.decode((folder / PLAN).read_bytes(), type=Plan)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise NotMeasuredError(
            f"{folder / PLAN}: not the plan of a railgauge run ({error}).\n"
            "  expected: a folder that railgauge run --output made\n  next: railgauge run --help"
        ) from None


_DECODER = msgspec.json.Decoder(Record)


def decode_record(line: bytes) -> Record:
    """The record that a line holds; raises what msgspec raises where it is none."""
    record: Record = _DECODER.decode(line)
    return record


Decode = Callable[[bytes], Record]


def read_journal(folder: Path, decode: Decode = decode_record) -> list[Record]:
    """All whole records; raises NotMeasuredError (exit 3) for a missing or foreign journal.

    `decode` makes of each line what is kept of it, before the next one is read.
    """
    path = folder / JOURNAL
    if not path.exists():
        raise NotMeasuredError(
            f"{folder}: no {JOURNAL} here.\n"
            "  expected: a folder that railgauge run --output made\n  next: railgauge run --output DIR"
        )
    records, _ = _read(path, decode)
    if not records:
        raise NotMeasuredError(
            f"{path}: empty; nothing was measured.\n  next: railgauge run --resume"
        )
    if not isinstance(records[0], Run):
        raise NotMeasuredError(
            f"{path}, line 1: not the beginning of a railgauge journal.\n"
            "  expected: the journal of railgauge run, unedited\n"
            "  next: railgauge run --output ANOTHER_FOLDER"
        )
    return records


def _read(path: Path, decode: Decode = decode_record) -> tuple[list[Record], int]:
    """(records, length in bytes of their lines); a last line cut short is left out."""
    records: list[Record] = []
    at = 0
    for number, line in enumerate(_lines(path), 1):
        if not line.endswith(b"\n"):
            break
        try:
            record = decode(line)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            if (
                number > 1 and at + len(line) == path.stat().st_size
            ):  # torn by a crash of the machine
                break
            raise NotMeasuredError(
                f"{path}, line {number}: not a railgauge record ({error}).\n"
                "  expected: the journal of railgauge run, unedited\n"
                "  next: railgauge run --output ANOTHER_FOLDER"
            ) from None
        if isinstance(record, Run) and record.format > FORMAT:  # before lines we may not know
            raise NotMeasuredError(
                f"{path}: journal format {record.format}, this railgauge reads up to {FORMAT}.\n"
                f"  next: install railgauge {record.version} or newer"
            )
        records.append(record)
        at += len(line)
    return records, at


def _lines(path: Path) -> Iterator[bytes]:
    """One at a time, with its newline: a line of a large run has megabytes; none where no file is."""
    if path.exists():
        with path.open("rb") as file:
            yield from file


def read_block(folder: Path, block: Block, iterations: int, rows: int) -> npt.NDArray[np.int64]:
    """Raw samples of a block, int64 [rows, iterations, columns]; NotMeasuredError if cut short."""
    shape = (rows, iterations, len(block.columns))
    return _values(sample_path(folder, block.node), block.offset, int(np.prod(shape))).reshape(
        shape
    )


def read_flows(folder: Path, block: FlowBlock) -> npt.NDArray[np.int64]:
    """Times of a node's flows in ns, int64 [flows, iterations]; NotMeasuredError if cut short."""
    shape = (len(block.flows), block.iterations)
    path = sample_path(folder, block.node)
    return _values(path, block.offset, int(np.prod(shape))).reshape(shape)


def _values(path: Path, offset: int, count: int) -> npt.NDArray[np.int64]:
    try:
        left = max(0, path.stat().st_size - offset) // np.dtype(np.int64).itemsize
        data = np.fromfile(path, np.int64, min(count, left), offset=offset)
    except (OSError, ValueError) as error:
        raise NotMeasuredError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if data.size != count:
        raise NotMeasuredError(
            f"{path}: {data.size} of {count} values at byte {offset}: the file is cut short"
        )
    return data
