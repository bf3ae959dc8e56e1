"""NVLink: what each link of each GPU carried and how often it erred, recovered and went down.

NVML's field values (nvml.h), all links of a GPU in one call. Which fields there are depends on the
generation: errors of the data link layer by link (Hopper), numbered fields of 12 links (up to
Ampere), packet counters (Blackwell, which has no replays and CRC errors for NVML any more).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from railgauge.counting import Kind, Place, Reading, Roots
from railgauge.hardware.nvlink import REMOTES
from railgauge.hardware.nvml import Asker, Fields, Gpu, Refused, bus_id, opened

_ERROR = Kind(canonical=("nvlink_error",))
_RECOVERY = Kind(canonical=("nvlink_recovery",))
#: Counter -> fields of NVML of which the first that answers counts, and its kind. {link}: the field
#: is that link's, else the link is the field's scope. Those of NEEDED are unknown where a GPU lacks
#: them, the others are of some generations only.
FIELDS: Mapping[str, tuple[tuple[str, ...], Kind]] = {
    "data_tx": (("NVLINK_THROUGHPUT_DATA_TX",), Kind("B", scale=1024)),
    "data_rx": (("NVLINK_THROUGHPUT_DATA_RX",), Kind("B", scale=1024)),
    "raw_tx": (("NVLINK_THROUGHPUT_RAW_TX",), Kind("B", scale=1024)),  # with the protocol's part
    "raw_rx": (("NVLINK_THROUGHPUT_RAW_RX",), Kind("B", scale=1024)),
    "replay_errors": (("NVLINK_ERROR_DL_REPLAY", "NVLINK_REPLAY_ERROR_COUNT_L{link}"), _ERROR),
    "recovery_errors": (
        ("NVLINK_ERROR_DL_RECOVERY", "NVLINK_RECOVERY_ERROR_COUNT_L{link}"),
        _RECOVERY,
    ),
    "crc_errors": (("NVLINK_ERROR_DL_CRC",), _ERROR),
    "crc_flit_errors": (("NVLINK_CRC_FLIT_ERROR_COUNT_L{link}",), _ERROR),
    "crc_data_errors": (("NVLINK_CRC_DATA_ERROR_COUNT_L{link}",), _ERROR),
    "ecc_data_errors": (("NVLINK_ECC_DATA_ERROR_COUNT_L{link}",), _ERROR),
    "packets_tx": (("NVLINK_COUNT_XMIT_PACKETS",), Kind()),
    "packets_rx": (("NVLINK_COUNT_RCV_PACKETS",), Kind()),
    "receive_errors": (("NVLINK_COUNT_RCV_ERRORS",), _ERROR),
    "receive_remote_errors": (("NVLINK_COUNT_RCV_REMOTE_ERRORS",), _ERROR),
    "receive_general_errors": (("NVLINK_COUNT_RCV_GENERAL_ERRORS",), _ERROR),
    "malformed_packets": (("NVLINK_COUNT_MALFORMED_PACKET_ERRORS",), _ERROR),
    "buffer_overruns": (("NVLINK_COUNT_BUFFER_OVERRUN_ERRORS",), _ERROR),
    "link_integrity_errors": (("NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS",), _ERROR),
    "transmit_discards": (("NVLINK_COUNT_XMIT_DISCARDS",), _ERROR),
    "effective_errors": (("NVLINK_COUNT_EFFECTIVE_ERRORS",), _ERROR),  # after error correction
    "symbol_errors": (("NVLINK_COUNT_SYMBOL_ERRORS",), Kind()),  # before it
    "recoveries": (("NVLINK_COUNT_LINK_RECOVERY_EVENTS",), _RECOVERY),
    "failed_recoveries": (("NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS",), _RECOVERY),
}
NEEDED = ("data_tx", "data_rx", "replay_errors", "recovery_errors")
ACTIVE = "active"
Key = tuple[int, str]  # (link, counter)


def kind(name: str, facts: Mapping[str, str]) -> Kind:
    del facts
    if name == ACTIVE:
        return Kind(arithmetic="state", canonical=("nvlink_state",))
    return FIELDS[name][1] if name in FIELDS else Kind()


def read(roots: Roots) -> Iterator[Reading]:
    """Every link of every GPU; raises OSError where there is a GPU and no NVML."""
    made = opened(roots.sysfs)
    if made is None:
        return
    for gpu in made.gpus:
        links = _links(made.nvml, gpu)
        if links:
            yield from _readings(made.nvml, gpu, links)


def _readings(nvml: Any, gpu: Gpu, links: Mapping[int, dict[str, str]]) -> Iterator[Reading]:
    values: dict[int, dict[str, int]] = {link: {} for link in links}
    why: dict[int, dict[str, str]] = {link: {} for link in links}
    for (link, name), answer in _fields(nvml, gpu).read().items():
        if not isinstance(answer, Refused):
            values[link][name] = answer
        elif name in NEEDED or not answer.lacking:
            why[link][name] = answer.why
    for link, facts in links.items():
        try:
            values[link][ACTIVE] = int(nvml.nvmlDeviceGetNvLinkState(gpu.handle, link))
        except nvml.NVMLError as error:
            why[link][ACTIVE] = str(error)
        place = Place("nvlink", f"{gpu.bus_id}/link{link}")
        yield Reading(place, values[link], why[link], facts)


@functools.cache
def _fields(nvml: Any, gpu: Gpu) -> Fields[Key]:
    wanted: dict[Key, list[tuple[str, int]]] = {}
    for link in _links(nvml, gpu):
        for name, (fields, _) in FIELDS.items():
            wanted[link, name] = [
                (field.format(link=link), 0 if "{link}" in field else link) for field in fields
            ]
    return Fields(nvml, gpu.handle, wanted)


@functools.cache
def _links(nvml: Any, gpu: Gpu) -> dict[int, dict[str, str]]:
    """Links that are there, active or not, with what they lead to; they do not come and go."""
    ask = Asker(nvml).ask
    found = {}
    for link in range(nvml.NVML_NVLINK_MAX_LINKS):
        if ask("", "nvmlDeviceGetNvLinkState", gpu.handle, link) is None:
            continue
        remote = bus_id(ask("", "nvmlDeviceGetNvLinkRemotePciInfo", gpu.handle, link))
        kind_ = ask("", "nvmlDeviceGetNvLinkRemoteDeviceType", gpu.handle, link)
        facts = {
            "gpu": str(gpu.index),
            "remote": remote or "",
            "remote_kind": REMOTES.get(kind_, ""),
        }
        found[link] = {name: told for name, told in facts.items() if told}
    return found
