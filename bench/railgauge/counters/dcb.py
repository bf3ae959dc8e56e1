"""Pause frames by priority as DCB counts them, for drivers whose own statistics lack them.

`requests` are PFC frames sent, `indications` received (struct ieee_pfc, include/uapi/linux/dcbnl.h).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping

from railgauge.counting import Kind, Place, Reading, Roots
from railgauge.linux import dcb
from railgauge.linux.sysfs import entries

CLASS = "class/net"
_NAME = re.compile(r"prio(\d)_(requests|indications)")
_CANONICAL = {"requests": "pause_tx", "indications": "pause_rx"}


def kind(name: str, facts: Mapping[str, str]) -> Kind:
    """64 bits that run freely."""
    del facts
    return _kind(name)


@functools.cache
def _kind(name: str) -> Kind:
    found = _NAME.fullmatch(name)
    if not found:
        return Kind()
    return Kind(canonical=(_CANONICAL[found[2]],), priority=int(found[1]))


def read(roots: Roots) -> Iterator[Reading]:
    """Devices of this network namespace that a driver of hardware (a `device` link) stands behind."""
    folder = roots.sysfs / CLASS
    for device in entries(folder):
        if not (folder / device / "device").exists():
            continue
        place = Place("dcb", device)
        try:
            pfc = dcb.state(device).pfc
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            yield Reading(place, {}, {"*": reason or str(error)})
            continue
        if pfc is None:
            yield Reading(place, {}, {"*": "the driver says nothing of PFC"})
            continue
        yield Reading(place, counted(pfc), {}, {"pfc": ",".join(map(str, pfc.enabled)) or "off"})


def counted(pfc: dcb.Pfc) -> dict[str, int]:
    """Counter name -> frames."""
    return {
        f"prio{priority}_{what}": frames[priority]
        for what, frames in (("requests", pfc.requests), ("indications", pfc.indications))
        for priority in range(dcb.PRIORITIES)
    }
