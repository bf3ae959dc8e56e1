"""The formats of `railgauge report`: the file name is the name of the format.

A format is a module with one function, `render(run: LoadedRun) -> str | bytes`; the first line of
its docstring says what it is for. A new file in this folder is a new format.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from railgauge import plugins
from railgauge.errors import unknown

if TYPE_CHECKING:
    from railgauge_reports.loaded import LoadedRun

    Render = Callable[[LoadedRun], str | bytes]


def names() -> list[str]:
    """The names of all formats; imports none of them."""
    return plugins.names(plugins.FORMATS)


def renderer(name: str) -> Render:
    """The `render` of that format; raises UsageError with the closest name if there is none."""
    if name not in names():
        raise unknown("format", name, names(), "railgauge report --help")
    return cast("Render", importlib.import_module(f"{plugins.FORMATS}.{name}").render)
