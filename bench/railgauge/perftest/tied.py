"""Runs a program that ends when its parent does: `python tied.py PARENT PROGRAM ARGUMENT...`.

A process that has MPI inside must not fork in Python code (memory that a network adapter reads would
be copied away from it on kernels before 5.12); so this runs between vfork and the program. It loads
nothing of the house.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
NOT_STARTED = 127  # as a shell says it


def main(parent: int, argv: list[str]) -> int:
    """Become the program; what is returned is the exit code where that cannot be."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it was listened to
        return NOT_STARTED
    try:
        os.execv(argv[0], argv)
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
    return NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
