"""ethtool -S: a driver's own statistics of a network device.

Names may hold colons and blanks (`[0]: rx_discards`), so a line is split at its last colon. Most
captures do not say which device they are of: then it is `unnamed`.
"""

from __future__ import annotations

import re

from railgauge.capturing.capture import UNNAMED, Capture, Draft, meaningful
from railgauge.counting import Place

_TITLE = "NIC statistics:"
_COMMAND = re.compile(
    r"\s*(?:[#$>]|\S+[#$>])\s*(?:\S*sudo )?(?:\S*/)?ethtool (?:-S|--statistics) (\S+).*"
)
_VALUE = re.compile(r"\s*[\w\[][^/=|\t]*: ?-?\d+\s*")


def recognises(text: str) -> bool:
    if re.search(rf"^{_TITLE}\s*$", text, re.MULTILINE):
        return True
    first = list(meaningful(text))
    return bool(first) and all(_VALUE.fullmatch(line) for line in first)


def parse(text: str) -> Capture:
    """A reading for every device."""
    draft, place, begun = Draft(text), Place("ethtool", UNNAMED), False
    for line in draft.lines:
        shown = line.text.strip()
        if command := _COMMAND.fullmatch(line.text):
            place, begun = Place("ethtool", command[1]), False
        elif shown == _TITLE:
            if begun:  # a second table below no command
                place = _another(draft)
            draft.place(place)
        elif not shown or shown.startswith(("#", "$")):
            continue
        else:
            name, colon, value = shown.rpartition(":")
            if colon and name:
                draft.counter(place, name.strip(), value.strip(), line.number)
                begun = True
            else:
                draft.odd(line.number, f"neither name nor value: {shown[:40]!r}")
    return draft.done()


def _another(draft: Draft) -> Place:
    number = 2
    while Place("ethtool", f"{UNNAMED}{number}") in draft.places:
        number += 1
    return Place("ethtool", f"{UNNAMED}{number}")
