"""One launch of the peer or of ours: the same mpiexec, binding, ranks and environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from railgauge.errors import NotMeasuredError
from railgauge.launching.launch import Launcher
from railgauge_reports.crosscheck.pairing import Figures, Pairing, Peer, Seconds, Size
from railgauge_reports.crosscheck.series import read_series
from railgauge_reports.processes import execute, quoted

#: Libraries by the name that the dynamic linker looks for: MPICH's ABI is shared by its relatives.
_FAMILIES = ((r"libmpi\.so\.(?:20|40)", "openmpi"), (r"libmpi(?:ch|_abi)?\.so\.\d+", "mpich"))


class OursFailedError(NotMeasuredError):
    """`railgauge run` itself failed: its exit code is handed on."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Launches:
    """Starts the peer and ours on `ranks` ranks; `timeout` seconds are the most one may take."""

    def __init__(
        self, binary: Path, peer: Peer, launcher: Launcher, ranks: int, timeout: float
    ) -> None:
        self.binary, self.peer, self.launcher = binary, peer, launcher
        self.ranks, self.timeout = ranks, timeout
        self.environment = {**os.environ, **launcher.environment(ranks)}

    def options(self) -> frozenset[str]:
        """What this build of the peer knows, asked of the peer itself."""
        if not self.peer.HELP:
            return self.peer.options_of("")
        shown = self._run([str(self.binary), *self.peer.HELP])
        return self.peer.options_of(shown.stdout + shown.stderr)

    def peer_figures(
        self,
        pairing: Pairing,
        sizes: Sequence[Size],
        iterations: int,
        warmup: int,
        options: frozenset[str],
        keep: Path,
    ) -> Mapping[int, Figures]:
        """What the peer prints, by its own size; its text is kept in the file `keep`."""
        asked = [size.peer for size in sizes]
        arguments = self.peer.arguments(pairing, asked, iterations, warmup, options)
        done = self._run([str(self.binary), *arguments])
        keep.write_text(done.stdout, encoding="utf-8")
        if done.returncode:
            raise NotMeasuredError(
                f"{self.binary} ended with {done.returncode}:\n"
                f"{quoted(done.stderr or done.stdout)}\n  command: {' '.join(done.args)}"
            )
        found = self.peer.figures(pairing, done.stdout, self.ranks)
        if not set(asked) & set(found):
            raise NotMeasuredError(
                f"{self.binary} printed no row for size {asked[0]}:\n"
                f"{quoted(done.stdout + done.stderr)}\n  command: {' '.join(done.args)}"
            )
        return found

    def our_series(
        self, pairing: Pairing, sizes: Sequence[Size], iterations: int, warmup: int, folder: Path
    ) -> Mapping[int, Seconds]:
        """Our samples by nbytes, from a run into `folder`; OursFailedError where it fails."""
        command = [
            *our_command(pairing, sizes, iterations, warmup, self.ranks),
            "--output",
            str(folder),
        ]
        done = execute(command, os.environ, self.timeout)
        if done.returncode:
            raise OursFailedError(
                f"railgauge run ended with {done.returncode}:\n{quoted(done.stderr)}\n"
                f"  command: {' '.join(command)}",
                done.returncode,
            )
        return read_series(folder)

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return execute(self.launcher.argv(self.ranks, command), self.environment, self.timeout)


def our_command(
    pairing: Pairing, sizes: Sequence[Size], iterations: int, warmup: int, ranks: int
) -> list[str]:
    """The `railgauge run` that measures the same; it starts its ranks as `Launches` does.

    Over one set of buffers: those that OSU and IMB use by default do not rotate either.
    """
    made = [sys.executable, "-m", "railgauge", "run", "-n", str(ranks)]
    made += ["--operation", pairing.operation, "--dtype", pairing.dtype]
    made += ["--backend", pairing.backend, "--timing", pairing.timing]
    made += ["--iterations", str(iterations), "--warmup", str(warmup), "--buffers", "1"]
    if sizes[0].nbytes:
        made += ["--sizes", ",".join(str(size.nbytes) for size in sizes)]
    if pairing.call:
        made += ["--call", pairing.call]
    if pairing.window:
        made += ["--window", str(pairing.window)]
    return [*made, *pairing.more]


# the library that a binary is linked with ------------------------------------------------------


def linked_library(binary: Path) -> tuple[str, str] | None:
    """(family, path) of the MPI library a binary loads; None for scripts, or without ldd."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return None
    shown = subprocess.run([ldd, str(binary)], capture_output=True, text=True, check=False).stdout
    for line in shown.splitlines():
        name, _, rest = line.strip().partition(" => ")
        for pattern, family in _FAMILIES:
            if re.fullmatch(pattern, name):
                return family, rest.partition(" (")[0]
    return None


def check_library(binary: Path, launcher: Launcher) -> str:
    """A note where the peer loads another build than ours; NotMeasuredError for another MPI."""
    linked = linked_library(binary)
    if linked is None:
        return ""
    family, path = linked
    if family != launcher.family:
        raise NotMeasuredError(
            f"{binary} is linked with {path} ({family}), railgauge runs on {launcher.family}"
            f" ({launcher.path}).\n"
            "  expected: a peer built with the MPI library that railgauge runs on\n"
            f"  next: the railgauge of an environment with {family}"
            f" (pip install {family})"
        )
    prefix = Path(launcher.path).resolve().parent.parent
    if not Path(path).resolve().is_relative_to(prefix):
        return f"the peer loads {path}, ours comes with {launcher.path}: two builds are compared"
    return ""
