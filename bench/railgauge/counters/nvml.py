"""NVIDIA GPUs: power, clocks, temperature, why clocks are held down and how long, ECC, PCIe, Xid errors.

Through NVML, which anybody may ask (nvml.h; field names are its NVML_FI_DEV_*). Times of throttling
advance in steps of 100 ms. Xid errors are counted from the first reading of this process on: NVML
hands them out as events and keeps no count, and the kernel's log is for root alone.
"""

from __future__ import annotations

import ctypes
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from railgauge.counting import Kind, Place, Reading, Roots
from railgauge.hardware.nvml import Asker, Fields, Gpu, Refused, Session, bus_id, opened

#: Counter -> field of NVML, kind. Those of NEEDED are unknown where a GPU lacks them, the others are
#: of some generations only.
FIELDS: Mapping[str, tuple[str, Kind]] = {
    "energy": ("TOTAL_ENERGY_CONSUMPTION", Kind("mJ")),
    "ecc_corrected": ("ECC_SBE_VOL_TOTAL", Kind(canonical=("ecc_corrected",))),
    "ecc_uncorrected": ("ECC_DBE_VOL_TOTAL", Kind(canonical=("ecc_uncorrected",))),
    "retired_pages_corrected": ("RETIRED_SBE", Kind(canonical=("memory_retired",))),
    "retired_pages_uncorrected": ("RETIRED_DBE", Kind(canonical=("memory_retired",))),
    "remapped_rows_corrected": ("REMAPPED_COR", Kind(canonical=("memory_retired",))),
    "remapped_rows_uncorrected": ("REMAPPED_UNC", Kind(canonical=("memory_retired",))),
    "remapping_pending": ("REMAPPED_PENDING", Kind(arithmetic="state")),
    "retirement_pending": ("RETIRED_PENDING", Kind(arithmetic="state")),
    "remapping_failed": ("REMAPPED_FAILURE", Kind(arithmetic="state", canonical=("memory_worn",))),
    "pcie_replays": ("PCIE_REPLAY_COUNTER", Kind(canonical=("pcie_replay",))),
    "pcie_replay_rollovers": ("PCIE_REPLAY_ROLLOVER_COUNTER", Kind(canonical=("pcie_replay",))),
    "pcie_recoveries": ("PCIE_L0_TO_RECOVERY_COUNTER", Kind()),  # also when a link changes speed
    "pcie_correctable_errors": ("PCIE_COUNT_CORRECTABLE_ERRORS", Kind()),
    "pcie_naks_received": ("PCIE_COUNT_NAKS_RECEIVED", Kind()),
    "pcie_naks_sent": ("PCIE_COUNT_NAKS_SENT", Kind()),
    "pcie_bad_tlp": ("PCIE_COUNT_BAD_TLP", Kind()),
    "pcie_bad_dllp": ("PCIE_COUNT_BAD_DLLP", Kind()),
    "pcie_non_fatal_errors": ("PCIE_COUNT_NON_FATAL_ERROR", Kind(canonical=("pcie_nonfatal",))),
    "pcie_fatal_errors": ("PCIE_COUNT_FATAL_ERROR", Kind(canonical=("pcie_fatal",))),
    "pcie_lcrc_errors": ("PCIE_COUNT_LCRC_ERROR", Kind()),
    "throttled_power": ("PERF_POLICY_POWER", Kind("ns", canonical=("throttle_power",))),
    "throttled_thermal": ("PERF_POLICY_THERMAL", Kind("ns", canonical=("throttle_thermal",))),
    "throttled_sync_boost": ("PERF_POLICY_SYNC_BOOST", Kind("ns")),
    "throttled_board_limit": ("PERF_POLICY_BOARD_LIMIT", Kind("ns", canonical=("throttle_power",))),
    "throttled_low_utilization": ("PERF_POLICY_LOW_UTILIZATION", Kind("ns")),
    "throttled_reliability": ("PERF_POLICY_RELIABILITY", Kind("ns")),
    "memory_temperature": ("MEMORY_TEMP", Kind("C", arithmetic="gauge")),
    "power_instant": ("POWER_INSTANT", Kind("mW", arithmetic="gauge")),
    "power_limit": (
        "POWER_CURRENT_LIMIT",
        Kind("mW", arithmetic="state", canonical=("power_cap",)),
    ),
}
NEEDED = ("energy", "ecc_corrected", "ecc_uncorrected", "pcie_replays")
#: Gauge -> unit, and how it is asked. `power` is the mean of a second on most GPUs (nvml.h).
GAUGES: Mapping[str, tuple[str, Callable[[Any, Any], int]]] = {
    "power": ("mW", lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu)),
    "temperature": ("C", lambda nvml, gpu: _temperature(nvml, gpu)),
    "sm_clock": ("MHz", lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM)),
    "memory_clock": (
        "MHz",
        lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM),
    ),
}
#: Bits of nvmlClocksEventReasons: why the clocks are not higher. Each is a gauge of 0 and 1.
REASONS = (
    *("idle", "application_clocks", "sw_power_cap", "hw_slowdown", "sync_boost", "sw_thermal"),
    *("hw_thermal", "hw_power_brake", "display_clocks", "board_limit", "reliability"),
)
_HELD = "reason_"
#: Xid errors that hardware makes (NVIDIA, "XID Errors"): 48 double-bit ECC; 63, 64 rows remapped or
#: pages retired; 74 NVLink; 79 fallen off the bus; 92 many single-bit errors; 94, 95 contained and
#: uncontained ECC; 119, 120 GSP; 121 C2C; 140 ECC; 144 to 150 NVLink 5. Others are one counter.
XIDS = (48, 63, 64, 74, 79, 92, 94, 95, 119, 120, 121, 140, *range(144, 151))
OTHER_XID = "xid_other"
MOST_EVENTS = 1000  # of one reading
FROM_THE_LOG = "as root: dmesg | grep Xid"


def kind(name: str, facts: Mapping[str, str]) -> Kind:
    del facts
    if name in FIELDS:
        return FIELDS[name][1]
    if name in GAUGES:
        return Kind(GAUGES[name][0], arithmetic="gauge")
    if name.startswith(_HELD):
        return Kind(arithmetic="gauge")
    return Kind(canonical=("xid",)) if name.startswith("xid") else Kind()


def read(roots: Roots) -> Iterator[Reading]:
    """Every GPU that NVML shows; raises OSError where there is a GPU and no NVML."""
    made = opened(roots.sysfs)
    if made is None:
        return
    xids = _xids(made)
    xids.drain()
    for gpu in made.gpus:
        yield _reading(made, gpu, xids)
    for name, why in made.lost.items():
        yield Reading(Place("nvml", name), {}, {"*": why})


def _reading(made: Session, gpu: Gpu, xids: _Xids) -> Reading:
    nvml = made.nvml
    values: dict[str, int] = {}
    why: dict[str, str] = {}
    facts = {"index": str(gpu.index), "name": gpu.name, "uuid": gpu.uuid}
    for name, answer in _fields(nvml, gpu).read().items():
        if not isinstance(answer, Refused):
            values[name] = answer
        elif name in NEEDED or not answer.lacking:
            why[name] = answer.why
    for name, (_, ask) in GAUGES.items():
        try:
            values[name] = ask(nvml, gpu.handle)
        except (nvml.NVMLError, AttributeError) as error:
            why[name] = str(error)
    asker = Asker(nvml)
    mask = asker.ask("", "nvmlDeviceGetCurrentClocksEventReasons", gpu.handle)
    if mask is None:  # before driver 535 under its old name
        mask = asker.ask("clocks", "nvmlDeviceGetCurrentClocksThrottleReasons", gpu.handle)
    if mask is None:
        why[f"{_HELD}*"] = asker.reasons[-1]
    else:
        values |= decoded(mask)
        held = [name.removeprefix(_HELD) for name, set_ in decoded(mask).items() if set_]
        facts["clocks"] = f"{mask:#x} {' '.join(held)}".strip()
    if xids.refused.get(gpu.bus_id):
        why["xid"] = f"{xids.refused[gpu.bus_id]}; {FROM_THE_LOG}"
    else:
        values |= xids.counts(gpu.bus_id)
    return Reading(Place("nvml", gpu.bus_id), values, why, {k: v for k, v in facts.items() if v})


def decoded(mask: int) -> dict[str, int]:
    """A gauge for every bit that has a name, and for those that are set without one."""
    known = {f"{_HELD}{name}": mask >> bit & 1 for bit, name in enumerate(REASONS)}
    more = {f"{_HELD}bit{bit}": 1 for bit in range(len(REASONS), 64) if mask >> bit & 1}
    return known | more


def _temperature(nvml: Any, gpu: Any) -> int:
    try:
        return int(nvml.nvmlDeviceGetTemperatureV(gpu, nvml.NVML_TEMPERATURE_GPU))
    except (nvml.NVMLError, AttributeError):  # an older driver
        return int(nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU))


@functools.cache
def _fields(nvml: Any, gpu: Gpu) -> Fields[str]:
    return Fields(nvml, gpu.handle, {name: [(field, 0)] for name, (field, _) in FIELDS.items()})


class _Xids:
    """Counts the events that NVML tells; `refused`: PCI address -> why it tells none of that GPU."""

    def __init__(self, made: Session) -> None:
        self._nvml, self._set = made.nvml, None
        self._counts: dict[str, Counter[str]] = {gpu.bus_id: Counter() for gpu in made.gpus}
        self._gpus = made.gpus
        self.refused: dict[str, str] = {}
        kind_of_event = made.nvml.nvmlEventTypeXidCriticalError
        try:
            self._set = made.nvml.nvmlEventSetCreate()
        except (made.nvml.NVMLError, AttributeError) as error:
            self._refuse(error)
            return
        for gpu in made.gpus:
            try:
                made.nvml.nvmlDeviceRegisterEvents(gpu.handle, kind_of_event, self._set)
            except made.nvml.NVMLError as error:
                self.refused[gpu.bus_id] = str(error)

    def drain(self) -> None:
        """Take what has happened; does not wait."""
        if self._set is None:
            return
        for _ in range(MOST_EVENTS):
            try:
                event = self._nvml.nvmlEventSetWait_v2(self._set, 0)
            except self._nvml.NVMLError as error:
                if error.value != self._nvml.NVML_ERROR_TIMEOUT:
                    self._refuse(error)
                return
            if event.eventType == self._nvml.nvmlEventTypeXidCriticalError:
                self._count(event.device, int(event.eventData))

    def _count(self, device: Any, number: int) -> None:
        """A GPU that has fallen off the bus has no PCI address any more: its handle comes first."""
        handles = {ctypes.cast(gpu.handle, ctypes.c_void_p).value: gpu.bus_id for gpu in self._gpus}
        whose = handles.get(ctypes.cast(device, ctypes.c_void_p).value)
        whose = whose or bus_id(Asker(self._nvml).ask("", "nvmlDeviceGetPciInfo", device))
        if whose in self._counts:
            self._counts[whose][f"xid_{number}" if number in XIDS else OTHER_XID] += 1
        else:
            self._refuse(f"NVML told of Xid {number} on a GPU that it does not name")

    def counts(self, address: str) -> dict[str, int]:
        """Each Xid's count since this process first asked."""
        zero = dict.fromkeys((*(f"xid_{number}" for number in XIDS), OTHER_XID), 0)
        return zero | self._counts[address]

    def _refuse(self, error: object) -> None:
        self.refused = {gpu.bus_id: str(error) for gpu in self._gpus}


@functools.cache
def _xids(made: Session) -> _Xids:
    return _Xids(made)
