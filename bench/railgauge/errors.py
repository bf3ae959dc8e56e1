"""Everything that can end a command, and the exit code each ending has.

=====  ==================================================================
code   meaning
=====  ==================================================================
0      PASS
1      FAIL: a verdict (the gate's REGRESSION)
2      usage: an argument, a plan or a combination that cannot be run
3      could not measure: no MPI, a refused launch, an unreadable run
4      wrong data: a collective delivered something other than it must
5      hang or timeout: a rank did not arrive, died or stopped
6      inconclusive: coverage too small to say (the gate's LEARNING)
75     interrupted, can be resumed (sysexits.h, EX_TEMPFAIL)
=====  ==================================================================

A message says what, where, what was expected and the next command to type.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_PASS = 0
EXIT_FAIL = 1
EXIT_USAGE = 2
EXIT_NOT_MEASURED = 3
EXIT_WRONG_DATA = 4
EXIT_HANG = 5
EXIT_INCONCLUSIVE = 6
EXIT_INTERRUPTED = 75


class RailgaugeError(Exception):
    """Base of every error that a user can meet; `exit_code` is the process's.

    `agreed`: all ranks of a run raise it together, and leave in order.
    """

    exit_code = EXIT_NOT_MEASURED
    agreed = False


class UsageError(RailgaugeError):
    """What was asked cannot be run as asked; nothing was measured."""

    exit_code = EXIT_USAGE
    agreed = True


class NotMeasuredError(RailgaugeError):
    """The request is right but this machine or folder does not allow it."""

    exit_code = EXIT_NOT_MEASURED


class HostError(NotMeasuredError):
    """What is amiss on this host, whatever the others have: the first rank on it says so too."""


class HangError(RailgaugeError):
    """A rank did not arrive, died or stopped making progress."""

    exit_code = EXIT_HANG


class InterruptedRunError(RailgaugeError):
    """A signal ended the run between two chunks; `--resume` continues it."""

    exit_code = EXIT_INTERRUPTED


def unknown(what: str, value: str, allowed: Iterable[str], next_command: str) -> UsageError:
    """The error for a name that is not in a table, with the closest one suggested."""
    names = list(allowed)
    close = difflib.get_close_matches(value, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UsageError(
        f"unknown {what} {value!r}.{hint}\n  allowed: {', '.join(names)}\n  next: {next_command}"
    )
