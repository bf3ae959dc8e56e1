"""The progress bar of commands that launch others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(title: str, launches: int) -> Iterator[Callable[[], None]]:
    """One bar on stderr, moved by what is yielded; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    # not for runs without a terminal
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=launches)
        yield lambda: shown.advance(task)
