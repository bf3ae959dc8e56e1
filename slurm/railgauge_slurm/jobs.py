"""Jobs as Slurm knows them: submitted, asked after."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from railgauge.errors import NotMeasuredError, UsageError
from railgauge_slurm.programs import RefusedError, ask

SCRIPT = "slurm.sh"
#: What squeue is asked for: the field, its width (it cuts off), and the name here.
_FIELDS = (
    ("JobArrayID", 40, "job"),
    ("State", 20, "state"),
    ("exit_code", 12, "exit_code"),
    ("RestartCnt", 12, "restarts"),
    ("TimeUsed", 24, "used"),
    ("TimeLimit", 24, "limit"),
    ("StartTime", 24, "start"),
    ("Reason", 40, "reason"),
    ("NodeList", 4000, "nodes"),
)
#: States in which a job still has something before it; those with a `+` or unknown to us count as such too.
ENDED = (
    *("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
    *("BOOT_FAIL", "DEADLINE", "REVOKED"),
)
#: Words of a refusal -> what to type.
_NEXT = (
    ("invalid partition", "sinfo --format=%P, and --partition one of these"),
    ("account", "sacctmgr show associations user=$USER, and --account one of these"),
    ("qos", "sacctmgr show associations user=$USER format=account,qos, and --qos one of these"),
    (
        "node configuration",
        "sinfo --Node --long, and -N, --gpus-per-node, --ranks-per-node that nodes have",
    ),
    ("time limit", "sinfo --format='%P %l', and --time within it"),
    ("reservation", "scontrol show reservation"),
    ("dependency", "squeue --me, and --dependency on a job that is there"),
)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job, or a task of an array (`12_3`), in squeue's own words."""

    job: str
    state: str
    exit_code: str
    restarts: str
    used: str
    limit: str
    start: str
    reason: str
    nodes: str

    @property
    def ended(self) -> bool:
        return self.state in ENDED


def submit(text: str, folder: Path, more: Sequence[str] = ()) -> str:
    """Write the script into the folder, as slurm.sh, and submit it; the job's id.

    `more` are options of sbatch that win over those of the script. Raises RefusedError (exit 2) with Slurm's
    own words, NotMeasuredError where there is no Slurm; a script that was refused is taken away again.
    """
    made = not folder.exists()
    script = write(text, folder)
    try:
        said = ask(
            ["sbatch", "--parsable", *more, str(script)], "railgauge slurm plan, the same options"
        )
    except (RefusedError, NotMeasuredError) as error:
        script.unlink()
        if made:
            with contextlib.suppress(OSError):  # somebody else uses it already
                folder.rmdir()
        if isinstance(error, RefusedError):
            raise _told(error) from None
        raise
    return said.strip().partition(";")[0]  # `12;cluster` of a federation


def write(text: str, folder: Path) -> Path:
    """slurm.sh in the folder, which is made; raises UsageError."""
    script = folder / SCRIPT
    try:
        folder.mkdir(parents=True, exist_ok=True)
        script.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"--output {folder}: {error.strerror or error}.\n"
            "  expected: a folder that this host and all nodes share\n  next: --output ANOTHER_FOLDER"
        ) from None
    os.chmod(script, 0o755)
    return script


def _told(error: RefusedError) -> RefusedError:
    """The same refusal with what to type next about what was refused."""
    said = error.said.lower()
    following = next((then for word, then in _NEXT if word in said), None)
    if following is None:
        return error
    return RefusedError(f"{str(error).rpartition('  next: ')[0]}  next: {following}", error.said)


def jobs(numbers: Sequence[str]) -> list[Job]:
    """The jobs of these ids that Slurm still knows, every task of an array by itself."""
    found: list[Job] = []
    form = ",".join(f"{name}:{width}" for name, width, _ in _FIELDS)
    for (
        number
    ) in numbers:  # of several ids squeue leaves out those it has forgotten: asked one by one
        argv = [
            "squeue",
            "--noheader",
            "--array",
            "--states=all",
            f"--jobs={number}",
            f"--Format={form}",
        ]
        try:
            said = ask(argv, "squeue --me")
        except RefusedError as error:
            if "Invalid job id" in error.said:
                continue
            raise
        found += [_job(line) for line in said.splitlines() if line.strip()]
    return sorted(found, key=lambda job: [int(w) if w.isdigit() else 0 for w in job.job.split("_")])


def _job(line: str) -> Job:
    at, facts = 0, {}
    for _, width, name in _FIELDS:
        facts[name] = line[at : at + width].strip()
        at += width
    return Job(**facts)
