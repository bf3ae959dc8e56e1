"""JUnit XML that both schemas in use take: Ant's JUnitReport and the one of Jenkins' xunit plug-in."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal
from xml.etree import ElementTree

Outcome = Literal["", "failure", "error", "skipped"]
#: What XML 1.0 has no way to write.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Sentences of one test case.
MOST_SENTENCES = 20


@dataclasses.dataclass(frozen=True)
class Test:
    """A test case: what it came to, a line that says why, the rest of it."""

    name: str
    seconds: float = 0.0
    outcome: Outcome = ""
    sentences: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Head:
    """What every suite of a document says: when it began (seconds since 1970, UTC), where, and facts.

    `warning` stands before everything that passed ("": there is none).
    """

    started: float
    host: str
    facts: tuple[tuple[str, str], ...]
    warning: str


def document(head: Head, suites: Mapping[str, Sequence[Test]]) -> str:
    """The document, UTF-8."""
    root = ElementTree.Element("testsuites")
    for number, (name, tests) in enumerate(suites.items()):
        root.append(_suite(head, number, name, tests))
    ElementTree.indent(root, " ")
    text: str = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(head: Head, number: int, name: str, tests: Sequence[Test]) -> ElementTree.Element:
    started = datetime.datetime.fromtimestamp(head.started, datetime.timezone.utc)
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": f"railgauge.{name}",
            "package": "railgauge",
            "id": str(number),
            "timestamp": started.strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": _line(head.host) or "localhost",
            "tests": str(len(tests)),
            "failures": str(sum(test.outcome == "failure" for test in tests)),
            "errors": str(sum(test.outcome == "error" for test in tests)),
            "skipped": str(sum(test.outcome == "skipped" for test in tests)),
            "time": _seconds(sum(test.seconds for test in tests)),
        },
    )
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in head.facts:
        ElementTree.SubElement(properties, "property", {"name": key, "value": _line(value)})
    for test in tests:
        suite.append(_case(name, test))
    out = ElementTree.SubElement(suite, "system-out")
    out.text = _text("\n".join(_said(head, tests)))
    ElementTree.SubElement(suite, "system-err").text = ""
    return suite


def _said(head: Head, tests: Sequence[Test]) -> Iterator[str]:
    """What test cases that passed have to say: XML has no other place for it that all readers know."""
    if head.warning:
        yield head.warning
    for test in tests:
        if not test.outcome:
            yield from (f"{test.name}: {sentence}" for sentence in test.sentences)


def _case(suite: str, test: Test) -> ElementTree.Element:
    made = ElementTree.Element(
        "testcase",
        {
            "classname": f"railgauge.{suite}",
            "name": _line(test.name) or "-",
            "time": _seconds(test.seconds),
        },
    )
    if test.outcome == "skipped":
        ElementTree.SubElement(made, "skipped", {"message": _line("; ".join(test.sentences))})
    elif test.outcome:
        told_of = test.sentences[:MOST_SENTENCES]
        left = len(test.sentences) - len(told_of)
        more = [f"and {left} more"] if left else []
        why = ElementTree.SubElement(
            made, test.outcome, {"type": test.outcome, "message": _line(told_of[0])}
        )
        why.text = _text("\n".join([*told_of, *more]))
    return made


def _seconds(value: float) -> str:
    return f"{value:.3f}"


def _text(value: str) -> str:
    return _FORBIDDEN.sub("\ufffd", value)


def _line(value: str) -> str:
    """A token of XML Schema: no blank at the ends, none twice, no line break."""
    return " ".join(_text(value).split())
