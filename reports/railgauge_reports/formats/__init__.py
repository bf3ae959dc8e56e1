"""The formats of `railgauge report`: the file name is the name of the format.

A format is a module with one function, `render(run: LoadedRun) -> str | bytes`; the first line of
its docstring says what it is for. A new file in this folder is a new format. Where one file does not
hold everything, the module also has `BESIDE`, a suffix, and `beside(run) -> bytes | None`, the content
of a second file that `--output` writes under that suffix (None: the first one holds everything). A
format that can show an acceptance as well has `render_acceptance(result: Result) -> str | bytes`, one that
can show what the gate says of a night `render_gate(gate: Gate) -> str | bytes` (and `beside_gate`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, cast

from railgauge import plugins
from railgauge.errors import UsageError, unknown

if TYPE_CHECKING:
    from railgauge_reports.acceptance.answer import Result
    from railgauge_reports.history.answer import Gate
    from railgauge_reports.loaded import LoadedRun

    RenderAcceptance = Callable[[Result], str | bytes]
    RenderGate = Callable[[Gate], str | bytes]
    Render = Callable[[LoadedRun], str | bytes]

#: What a format may show besides a run: the function that does, what it is called, what to do without.
ACCEPTANCE = ("render_acceptance", "an acceptance", "the run folders inside have all formats")
GATE = ("render_gate", "a gate", "the nights inside have more: railgauge report NIGHT")


def names() -> list[str]:
    """The names of all formats; imports none of them."""
    return plugins.names(plugins.FORMATS)


def renderer(name: str) -> Render:
    """The `render` of that format; raises UsageError with the closest name if there is none."""
    if name not in names():
        raise unknown("format", name, names(), "railgauge report --help")
    return cast("Render", _module(name).render)


def beside_suffix(name: str) -> str:
    """The suffix of the second file of a format; "" of most."""
    return str(getattr(_module(name), "BESIDE", ""))


def beside(name: str, run: LoadedRun) -> bytes | None:
    """The second file of a format; None where there is none to write."""
    made: bytes | None = _module(name).beside(run)
    return made


def beside_gate(name: str, gate: Gate) -> bytes | None:
    """The second file of a gate; None where the first one holds everything, or the format has none."""
    make = getattr(_module(name), "beside_gate", None)
    made: bytes | None = None if make is None else make(gate)
    return made


def acceptance_renderer(name: str) -> RenderAcceptance:
    """The `render_acceptance` of that format; raises UsageError where it has none."""
    return cast("RenderAcceptance", _other_renderer(name, *ACCEPTANCE))


def gate_renderer(name: str) -> RenderGate:
    """The `render_gate` of that format; raises UsageError where it has none."""
    return cast("RenderGate", _other_renderer(name, *GATE))


def gate_names() -> list[str]:
    """The formats that can show what the gate says; imports all formats."""
    return [name for name in names() if hasattr(_module(name), GATE[0])]


def _other_renderer(
    name: str, function: str, what: str, instead: str
) -> Callable[..., str | bytes]:
    renderer(name)  # an unknown name is answered there
    found = getattr(_module(name), function, None)
    if found is None:
        able = [each for each in names() if hasattr(_module(each), function)]
        raise UsageError(
            f"--format {name}: shows runs, and not {what}.\n"
            f"  allowed: {', '.join(able)}\n  next: {instead}"
        )
    return cast("Callable[..., str | bytes]", found)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{plugins.FORMATS}.{name}")
