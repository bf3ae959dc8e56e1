"""perftest's programs: which there are, what they can be asked, and one of them running."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from railgauge.errors import NotMeasuredError, UsageError
from railgauge.memory import lines_of
from railgauge.perftest import tied

ANSWER_SECONDS = 20.0  # within which --help answers, also from a slow file system
MOST_OUTPUT = 64 << 20  # bytes; a million raw times are 16 MB
QUOTED_LINES, MOST_CHARACTERS = 6, 300
LISTEN = "0A"  # include/net/tcp_states.h
NEXT = (
    "  next: apt-get install perftest (Debian, Ubuntu), dnf install perftest (RHEL, Fedora),\n"
    "    or build https://github.com/linux-rdma/perftest and put it on PATH"
)


@dataclasses.dataclass(frozen=True)
class Program:
    """A program on PATH, its version ("": it does not say) and the options that its help names."""

    name: str
    path: str
    version: str
    options: frozenset[str]


def program_named(name: str) -> Program:
    """What PATH has under that name; raises UsageError where it is not there or does not run."""
    path = shutil.which(name)
    if path is None:
        raise UsageError(
            f"{name} is not installed on {socket.gethostname()}: it is not on PATH.\n{NEXT}"
        )
    help_text = _answer(path, "--help")
    options = frozenset(re.findall(r"(?<![\w-])--?[A-Za-z]\w*(?:-\w+)*", help_text))
    if "--ib-dev" not in options:
        said = "".join(f"\n  | {line}" for line in help_text.splitlines()[:QUOTED_LINES])
        raise UsageError(
            f"{path} --help on {socket.gethostname()} is not that of perftest.{said}\n"
            f"  expected: among its options --ib-dev\n{NEXT}"
        )
    version = re.search(r"Version:\s*(\S+)", _answer(path, "--version"))
    return Program(name, path, version[1] if version else "", options)


def _answer(path: str, option: str) -> str:
    """Both streams of a program that is asked about itself; its exit code is 1 in some versions."""
    try:
        made = subprocess.run(
            [path, option],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=ANSWER_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return made.stdout.decode(errors="replace")


class Running:
    """A program that runs, in a session of its own (a terminal's ^C is ours to answer).

    It is killed when this process ends, however that is. Raises NotMeasuredError where it cannot be
    started.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = tuple(argv)
        self._files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 (`end` closes them)
        between = [sys.executable, "-I", "-S", tied.__file__, str(os.getpid())]
        try:
            self._process = subprocess.Popen(
                [*between, *argv],
                stdin=subprocess.DEVNULL,
                stdout=self._files[0],
                stderr=self._files[1],
                start_new_session=True,
            )
        except OSError as error:
            raise NotMeasuredError(
                f"{argv[0]} cannot be started on {socket.gethostname()}: {error.strerror}.\n"
                f"  next: {argv[0]} --version"
            ) from None

    @property
    def code(self) -> int | None:
        """Its exit code, a signal's number below 0; None while it runs."""
        return self._process.poll()

    def listens(self, port: int) -> bool:
        """Does it wait for a TCP connection at that port? (A socket of another process does not count.)"""
        process = Path(f"/proc/{self._process.pid}")
        sockets = set()
        for link in _links(process / "fd"):
            if found := re.fullmatch(r"socket:\[(\d+)\]", link):
                sockets.add(found[1])
        for table in ("tcp", "tcp6"):
            for line in lines_of(process / "net" / table)[1:]:
                fields = line.split()  # proc(5): sl local_address rem_address st ... inode
                here = fields[1].rpartition(":")[2]
                if fields[3] == LISTEN and int(here, 16) == port and fields[9] in sockets:
                    return True
        return False

    def output(self) -> str:
        """What it has written to stdout so far."""
        return self._text(0)

    def told(self) -> str:
        """How it ended, its last words, and its command line."""
        code = self.code
        end = "still runs" if code is None else f"exit code {code}" if code >= 0 else _signal(-code)
        lines = [line.strip() for line in (self._text(1).strip() or self._text(0)).splitlines()]
        kept = [line[:MOST_CHARACTERS] for line in lines if line.strip("-* ")][-QUOTED_LINES:]
        quoted = "".join(f"\n    | {line}" for line in kept or ["(it said nothing)"])
        return f"{end}: {shlex.join(self.argv)}{quoted}"

    def _text(self, stream: int) -> str:
        self._files[stream].flush()
        with open(f"/proc/self/fd/{self._files[stream].fileno()}", "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST_OUTPUT:
                raise NotMeasuredError(
                    f"{self.argv[0]} wrote {size} bytes, more than {MOST_OUTPUT}.\n"
                    "  next: --config iterations=N with a smaller N"
                )
            return file.read().decode(errors="replace")

    def end(self) -> None:
        """Kill it if it still runs, and forget what it wrote."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for file in self._files:
            file.close()


def _signal(number: int) -> str:
    with contextlib.suppress(ValueError):
        return f"ended by {signal.Signals(number).name}"
    return f"ended by signal {number}"


def _links(folder: Path) -> list[str]:
    """Where the links of a folder lead to; those that vanish meanwhile are left out."""
    found = []
    with contextlib.suppress(OSError):
        for link in folder.iterdir():
            with contextlib.suppress(OSError):
                found.append(os.readlink(link))
    return found


def free_port() -> int:
    """A TCP port that nobody listens at now; whoever takes it must be ready for another to be faster."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
        made.bind(("", 0))
        return int(made.getsockname()[1])
