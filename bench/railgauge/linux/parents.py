"""A process that does not outlive the one which started it."""

from __future__ import annotations

import ctypes
import signal


def end_with_parent() -> None:
    """In the child: be sent SIGTERM when the parent dies (prctl PR_SET_PDEATHSIG = 1)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
