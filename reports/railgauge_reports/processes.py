"""Other programs run to their end: quoted where they fail, ended with all they started where they hang."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence

from railgauge.errors import HangError, UsageError
from railgauge.linux.parents import end_with_parent

QUOTED_LINES = 12
#: What a process is sent to end it, and the seconds it then has. `railgauge run` ends its ranks between
#: two chunks at the first SIGTERM and at once at the second; killed, it would leave them behind for a while.
ENDING = ((signal.SIGTERM, 5.0), (signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))
#: Launchers that kill their ranks at SIGTERM, and what they hand on to them instead, which `railgauge run`
#: takes for SIGTERM. srun 22.05 answers SIGTERM with "forcing job termination" (seen on a real Slurm).
HANDED_ON = {"srun": signal.SIGUSR2}
HANDED_ON_SECONDS = 30.0


def execute(
    command: Sequence[str], environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run to the end; HangError after `timeout` seconds, with the whole session ended.

    It is also ended when this process is interrupted, or dies. OSError where it cannot be started.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=end_with_parent,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise HangError(
            f"no end within {timeout:g} s: {' '.join(command)}\n"
            "  next: a larger --timeout, or fewer --iterations"
        ) from None
    finally:
        _end(process, stopping(command))
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def stopping(command: Sequence[str]) -> signal.Signals:
    """The signal at which a command, a launcher or one without, ends what it runs between two chunks."""
    return HANDED_ON.get(os.path.basename(command[0]), signal.SIGTERM)


def _end(process: subprocess.Popen[str], first: signal.Signals) -> None:
    handed_on = () if first == signal.SIGTERM else ((first, HANDED_ON_SECONDS),)
    for number, seconds in (*handed_on, *ENDING):
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=seconds)


def shell_words(text: str | None, option: str) -> tuple[str, ...]:
    """What was typed as a shell would split it; raises UsageError that names the option."""
    try:
        return tuple(shlex.split(text or ""))
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {error}.\n  expected: words as in a shell") from None


def quoted(text: str) -> str:
    """The last lines, each once: every rank prints the same."""
    lines = list(dict.fromkeys(line.rstrip() for line in text.splitlines() if line.strip()))
    return "\n".join(f"  | {line}" for line in lines[-QUOTED_LINES:]) or "  | (it printed nothing)"
