"""What a job asks of Slurm and what it runs: recorded as it is, and all that a template is given."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from railgauge.errors import UsageError
from railgauge_reports.processes import stopping

Count = Annotated[int, Meta(ge=1)]
#: sbatch reads a line with one of these words as the border of a heterogeneous job, wherever they stand.
_BORDERS = re.compile("hetjob|packjob", re.IGNORECASE)
#: Blocks of an array have this folder each.
BLOCK = "block-{:03d}"


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One job, or one block of an array of jobs.

    `command` is the measurement and `again` what goes on with one that has begun, which the file `begun` in
    its folder tells; --output FOLDER is appended to both. `judge` is a command whose exit code is the
    measurement's (a launcher rewrites the codes of ranks), given the folder; none: the code of `command`.
    `then` are commands for afterwards, whatever was found, with the folder as their last word and its code
    in RAILGAUGE_CODE; how they end changes nothing. `variables` are set before all of it. `minutes` is the
    limit, `warning_seconds` before it SIGTERM comes, and `requeues` how often the job then begins again.
    `blocks` above 0 makes an array of so many jobs, at most `at_once` at a time.
    """

    name: str
    folder: str
    command: tuple[str, ...]
    again: tuple[str, ...]
    begun: str
    nodes: Count
    ranks_per_node: Count
    minutes: Count
    judge: tuple[str, ...] = ()
    then: tuple[tuple[str, ...], ...] = ()
    variables: dict[str, str] = {}
    warning_seconds: Count = 120
    requeues: Annotated[int, Meta(ge=0)] = 10
    blocks: Annotated[int, Meta(ge=0)] = 0
    at_once: Count | None = None
    gpus_per_node: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    reservation: str | None = None
    nodelist: str | None = None
    exclude: str | None = None
    constraint: str | None = None
    dependency: str | None = None
    begin: str | None = None
    deadline: str | None = None
    nice: int | None = None

    def __post_init__(self) -> None:
        if not self.folder.startswith("/"):
            raise UsageError(f"--output {self.folder}: expected a path from the root of all hosts")

    @property
    def log(self) -> str:
        """Slurm's pattern of the job's output: a % stands for itself as %%.

        Raises UsageError for a backslash, which would switch all of the pattern off.
        """
        if "\\" in self.folder:
            raise UsageError(
                f"--output {self.folder}: Slurm writes to no path with a backslash.\n"
                "  next: --output ANOTHER_FOLDER"
            )
        number = "%A_%a" if self.blocks else "%j"
        return f"{self.folder.replace('%', '%%')}/slurm-{number}.out"

    @property
    def stop(self) -> str:
        """The signal that the command takes for "end between two chunks": USR2 of srun, else TERM."""
        return stopping(self.command).name.removeprefix("SIG")

    def folders(self) -> tuple[str, ...]:
        """The folder of the measurement, or of every block."""
        if not self.blocks:
            return (self.folder,)
        return tuple(f"{self.folder}/{BLOCK.format(k)}" for k in range(self.blocks))


def directive(option: str, value: object) -> str:
    """`#SBATCH --option="value"`, which sbatch reads as one word whatever stands in it; "" of None.

    sbatch reads these lines itself (src/sbatch/opt.c, get_argument): quotes group, a backslash takes the next
    letter as it is, no variable or command is expanded, and the shell sees a comment. A line break would end
    the comment: raises UsageError for it and for every other letter that cannot be printed.
    """
    if value is None:
        return ""
    text = str(value)
    if not text or not text.isprintable() or _BORDERS.search(text):
        raise UsageError(
            f"--{option} {text!r}: cannot stand in a line of #SBATCH.\n"
            "  expected: letters that can be printed, without `hetjob` or `packjob`\n"
            f"  next: another --{option}"
        )
    if re.fullmatch(r"[A-Za-z0-9_.,:@%/+=-]+", text):
        return f"#SBATCH --{option}={text}\n"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'#SBATCH --{option}="{escaped}"\n'
