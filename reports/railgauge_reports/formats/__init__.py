"""The formats of `railgauge report`: the file name is the name of the format.

A format is a module with one function, `render(run: LoadedRun) -> str | bytes`; the first line of
its docstring says what it is for. A new file in this folder is a new format. Where one file does not
hold everything, the module also has `BESIDE`, a suffix, and `beside(run)`, what writes a second file that
`--output` puts under that suffix (None: the first one holds everything); it may run in a thread. A
format that can show an acceptance as well has `render_acceptance(result: Result) -> str | bytes`, and one
that can show what the gate says of a history `render_gate(gate: Gate) -> str | bytes` (and
`beside_gate(gate) -> bytes | None`, the content of such a file).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, cast

from railgauge import plugins
from railgauge.errors import UsageError, unknown

if TYPE_CHECKING:
    from railgauge_reports.acceptance.answer import Result
    from railgauge_reports.history.answer import Gate
    from railgauge_reports.loaded import LoadedRun

    RenderGate = Callable[[Gate], str | bytes]
    RenderAcceptance = Callable[[Result], str | bytes]
    Render = Callable[[LoadedRun], str | bytes]
    Write = Callable[[BinaryIO], None]

ACCEPTANCE, GATE = "render_acceptance", "render_gate"


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


def beside(name: str, run: LoadedRun) -> Write | None:
    """What writes the second file of a format; None where there is none to write."""
    made: Write | None = _module(name).beside(run)
    return made


def beside_gate(name: str, gate: Gate) -> bytes | None:
    """The second file of a gate; None where the first one holds everything, or the format has none."""
    make = getattr(_module(name), "beside_gate", None)
    made: bytes | None = None if make is None else make(gate)
    return made


def acceptance_renderer(name: str) -> RenderAcceptance:
    """The `render_acceptance` of that format; raises UsageError where it has none."""
    what = "shows runs, and not an acceptance"
    return cast("RenderAcceptance", _other(name, ACCEPTANCE, what, "the run folders inside have"))


def gate_renderer(name: str) -> RenderGate:
    """The `render_gate` of that format; raises UsageError where it has none."""
    what = "shows runs, and not a history"
    return cast("RenderGate", _other(name, GATE, what, "railgauge report NIGHT has"))


def _other(name: str, function: str, what: str, instead: str) -> object:
    """That function of a format; raises UsageError where it has none."""
    renderer(name)  # an unknown name is answered there
    found: object = getattr(_module(name), function, None)
    if found is None:
        able = [each for each in names() if hasattr(_module(each), function)]
        raise UsageError(
            f"--format {name}: {what}.\n  allowed: {', '.join(able)}\n  next: {instead} all formats"
        )
    return found


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{plugins.FORMATS}.{name}")
