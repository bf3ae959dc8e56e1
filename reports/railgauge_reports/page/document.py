"""One offline HTML file: the template filled, charts beside the library, a policy that forbids the rest.

The policy (CSP level 3) has `default-src 'none'`: no network, no image, no frame. The two scripts and
the style sheet are allowed by the SHA-256 of their text, so nothing that a log or a host name smuggles
in can run; Vega interprets expressions (`ast`) and needs no eval. Data stands in blocks of
application/json, which browsers never run.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from railgauge import __version__
from railgauge_reports.cells import cut
from railgauge_reports.page.acceptance import AcceptancePage
from railgauge_reports.page.chart import Chart
from railgauge_reports.page.content import Page
from railgauge_reports.page.gate import GatePage
from railgauge_reports.page.library import library
from railgauge_reports.page.theme import in_page

#: Characters of any text in the page.
MOST_TEXT = 2000


def document(page: Page) -> str:
    """The whole file of a run."""
    return _filled("page.html.j2", page)


def acceptance_document(page: AcceptancePage) -> str:
    """The whole file of an acceptance."""
    return _filled("acceptance.html.j2", page)


def gate_document(page: GatePage) -> str:
    """The whole file of what the gate says of a night."""
    return _filled("gate.html.j2", page)


def _filled(template: str, page: Page | AcceptancePage | GatePage) -> str:
    style, script, vega = _part("page.css"), _part("page.js"), library()
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(vega)} {_hash(script)}",
            f"style-src {_hash(style)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return _environment().get_template(template).render(
        page=page,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        library=Markup(vega),
        block=_block,
        cut=cut,
        version=__version__,
    )  # fmt: skip


def _block(chart: Chart) -> Markup:
    """A chart's specification and data as JSON that cannot end its script element."""
    return Markup(as_block({"spec": in_page(chart), "data": chart.packed()}))


def as_block(value: Any) -> str:
    """JSON without `<`, `>` and `&`: whatever a string in it says, it stays a string."""
    text = msgspec.json.encode(value).decode()
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("railgauge_reports", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shortened,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shortened(value: Any) -> Any:
    """No text of a log makes a page that cannot be opened; what is ours (Markup) stays whole."""
    return cut(value, MOST_TEXT) if type(value) is str else value


def _part(name: str) -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]
