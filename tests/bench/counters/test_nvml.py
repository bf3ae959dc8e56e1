"""GPUs through NVML: gauges, why clocks are held down, ECC, Xid errors; against a library made here."""

from __future__ import annotations

import pytest

from railgauge.counters import nvml
from railgauge.counting import Kind, Roots

FIRST, SECOND = "0000:10:00.0", "0000:11:00.0"
ECC_CORRECTED, ECC_UNCORRECTED, REPLAYS, ENERGY, SLOWED = 3, 4, 94, 83, 74  # numbers of nvml.h


def fields(**numbers):
    """`FAKE_NVML_VALUES` of GPU 0."""
    return {"VALUES": ",".join(f"0:{globals()[name]}:0={n}" for name, n in numbers.items())}


def reading(snapshot, device=FIRST):
    (found,) = (r for r in snapshot.readings if r.place.device == device)
    return found


def told(changes):
    return {(c.place.device, c.name): (c.delta, c.note) for c in changes}


def test_a_gpu_is_named_by_its_pci_address_and_says_what_it_is(gpus):
    (made,), _ = gpus(["nvml"])
    assert [r.place.device for r in made.readings] == [FIRST, SECOND]
    facts = reading(made).facts
    assert (facts["index"], facts["name"]) == ("0", "NVIDIA H100 80GB HBM3")
    assert facts["uuid"].startswith("GPU-")


def test_power_clocks_and_temperature_are_gauges_in_their_units(gpus):
    low, high = {"POWER": 90_000, "CELSIUS": 41}, {"POWER": 690_000, "CELSIUS": 71}
    (made, _), changes = gpus(["nvml"], low, high)
    values = reading(made).values
    assert (values["power"], values["temperature"]) == (90_000, 41)
    assert (values["sm_clock"], values["memory_clock"]) == (1980, 2619)
    moved = told(changes)
    assert moved[FIRST, "power"] == (690_000, "")
    assert moved[FIRST, "temperature"] == (71, "")
    assert nvml.kind("power", {}) == Kind("mW", arithmetic="gauge")


def test_why_clocks_are_held_down_is_a_gauge_for_each_reason_and_a_word_beside_it(gpus):
    (made,), _ = gpus(["nvml"], {"REASONS": 0x4 | 0x40 | 0x1000})
    found = reading(made)
    assert found.values["reason_sw_power_cap"] == found.values["reason_hw_thermal"] == 1
    assert found.values["reason_hw_slowdown"] == 0
    assert found.values["reason_bit12"] == 1
    assert found.facts["clocks"] == "0x1044 sw_power_cap hw_thermal bit12"


def test_an_older_driver_says_it_by_the_older_name(gpus):
    (made,), _ = gpus(["nvml"], {"REASONS": 0x20, "THROTTLE": 1})
    assert reading(made).values["reason_sw_thermal"] == 1


def test_energy_ecc_replays_and_the_time_of_throttling_count(gpus):
    before = fields(ECC_CORRECTED=7, ECC_UNCORRECTED=0, REPLAYS=5, ENERGY=10**9, SLOWED=0)
    after = fields(ECC_CORRECTED=9, ECC_UNCORRECTED=1, REPLAYS=5, ENERGY=10**9 + 700, SLOWED=10**8)
    _, changes = gpus(["nvml"], before, after)
    moved = told(changes)
    assert moved[FIRST, "ecc_corrected"] == (2, "")
    assert moved[FIRST, "ecc_uncorrected"] == (1, "")
    assert moved[FIRST, "energy"] == (700, "")
    assert moved[FIRST, "throttled_power"] == (10**8, "")
    assert (FIRST, "pcie_replays") not in moved
    kinds = {c.name: c.kind for c in changes}
    assert kinds["throttled_power"] == Kind("ns", canonical=("throttle_power",))
    assert kinds["energy"].unit == "mJ"


def test_what_a_gpu_must_have_and_lacks_is_unknown_and_what_few_have_is_left_out(gpus):
    (made,), _ = gpus(["nvml"])
    found = reading(made)
    for name in ("power", *nvml.NEEDED):
        assert name not in found.values
        assert found.unknown[name]
    assert "pcie_fatal_errors" not in {*found.values, *found.unknown}


def test_a_value_that_nvml_calls_not_available_is_unknown(gpus):
    (made,), _ = gpus(["nvml"], fields(ENERGY=2**64 - 1))
    assert reading(made).unknown["energy"] == "NVML says that it is not available"


def test_a_gpu_that_stops_answering_is_unknown_and_its_counters_vanish_by_no_delta(gpus):
    (_, after), changes = gpus(
        ["nvml"], fields(ENERGY=5), fields(ENERGY=9) | {"FIELDS_CODE": 15, "REASONS": 0}
    )
    assert "energy" in reading(after).unknown
    assert all(change.name != "energy" for change in changes)  # unknown, not vanished, not 0


def test_a_lost_gpu_is_unknown_and_the_others_are_read(gpus):
    (made,), _ = gpus(["nvml"], {"GPUS": 3, "LOST": 1})
    assert set(reading(made, "gpu1").unknown) == {"*"}
    assert reading(made, "0000:12:00.0").values["sm_clock"] == 1980


# Xid errors -------------------------------------------------------------------------------------


def test_xid_errors_are_counted_by_number_and_gpu_from_the_first_reading_on(gpus):
    (first, _), changes = gpus(["nvml"], {}, {"XIDS": "1:79,0:31,1:79"})
    assert reading(first).values["xid_79"] == 0
    moved = {key: delta for key, (delta, _) in told(changes).items() if "xid" in key[1]}
    assert moved == {(SECOND, "xid_79"): 2, (FIRST, "xid_other"): 1}
    assert nvml.kind("xid_79", {}).canonical == ("xid",)


def test_where_nvml_tells_no_events_xid_errors_are_unknown_and_root_knows_how(gpus):
    (made,), _ = gpus(["nvml"], {"EVENTS": 3})
    found = reading(made)
    assert "as root: dmesg | grep Xid" in found.unknown["xid"]
    assert not [name for name in found.values if name.startswith("xid")]


def test_an_xid_of_a_gpu_without_a_name_makes_all_of_them_unknown(gpus):
    (_, after), _ = gpus(["nvml"], {}, {"XIDS": "77:79"})
    assert "does not name" in reading(after).unknown["xid"]


# no NVML ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "knobs", "words"),
    [
        ([], {}, "nvidia-ml-py is not installed"),
        (["nvlink", "nvml"], {"INIT": 9}, "NVML does not start"),
        (["nvlink", "nvml"], {"GPUS": 0}, "NVML shows no GPU"),
    ],
)
def test_a_gpu_without_nvml_is_a_problem_with_its_reason(gpus, sources, knobs, words):
    (made,), _ = gpus(sources, knobs)
    assert not made.readings
    assert set(made.problems) == {"nvlink", "nvml"}
    assert all(words in why for why in made.problems.values())


def test_a_host_without_gpus_has_no_places_and_no_problem(tmp_path):
    assert list(nvml.read(Roots(tmp_path, tmp_path))) == []
