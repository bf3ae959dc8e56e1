"""NVLink counters by GPU and link, whatever the generation calls them; against a library made here."""

from __future__ import annotations

import pytest

from railgauge.counters import nvlink
from railgauge.counting import Place, Roots

TX, RX, REPLAY, RECOVERY, CRC = 138, 139, 161, 162, 163  # numbers of nvml.h
REPLAY_L3, FLIT_L3, XMIT_DISCARDS = 49, 35, 212


def values(gpu=0, link=3, **numbers):
    """`FAKE_NVML_VALUES`: `TX=5` of that link."""
    listed = (
        f"{gpu}:{globals()[name]}:{0 if name.endswith('L3') else link}={n}"
        for name, n in numbers.items()
    )
    return {"VALUES": ",".join(listed)}


def of(snapshot, device):
    (found,) = (r for r in snapshot.readings if r.place == Place("nvlink", device))
    return found


def test_every_link_of_every_gpu_is_a_place_that_says_where_it_leads(gpus):
    (made,), _ = gpus(["nvlink"], {"GPUS": 2, "LINKS": 4, "TOPOLOGY": "direct"})
    assert len(made.readings) == 8
    assert of(made, "0000:11:00.0/link0").facts == {
        "gpu": "1",
        "remote": "0000:10:00.0",
        "remote_kind": "gpu",
    }


def test_data_is_counted_in_bytes_and_errors_by_link(gpus):
    _, changes = gpus(
        ["nvlink"],
        values(TX=10, RX=10, REPLAY=1, RECOVERY=0, CRC=0),
        values(TX=13, RX=10, REPLAY=5, RECOVERY=1, CRC=2),
    )
    assert {c.place.device for c in changes} == {"0000:10:00.0/link3"}
    assert {c.name: c.delta for c in changes} == {
        "data_tx": 3 * 1024,
        "replay_errors": 4,
        "recovery_errors": 1,
        "crc_errors": 2,
    }
    events = {c.name: c.kind.canonical for c in changes}
    assert events["replay_errors"] == events["crc_errors"] == ("nvlink_error",)
    assert events["recovery_errors"] == ("nvlink_recovery",)
    assert events["data_tx"] == ()


def test_older_gpus_answer_by_numbered_fields(gpus):
    _, changes = gpus(["nvlink"], values(REPLAY_L3=1, FLIT_L3=0), values(REPLAY_L3=2, FLIT_L3=7))
    assert {c.name: c.delta for c in changes} == {"replay_errors": 1, "crc_flit_errors": 7}


def test_newer_gpus_have_more_counters_and_what_they_lost_is_unknown(gpus):
    (_, made), changes = gpus(["nvlink"], values(XMIT_DISCARDS=0), values(XMIT_DISCARDS=3))
    assert {c.name: c.delta for c in changes} == {"transmit_discards": 3}
    assert set(of(made, "0000:10:00.0/link3").unknown) == set(nvlink.NEEDED)


def test_a_link_that_goes_down_is_told_and_one_that_was_down_is_not(gpus):
    knobs = {"LINKS": 4, "DEAD": "1:2"}
    (made, _), changes = gpus(["nvlink"], knobs, knobs | {"DEAD": "1:2,0:3"})
    assert of(made, "0000:11:00.0/link2").values["active"] == 0
    (change,) = changes
    assert (change.place.device, change.name) == ("0000:10:00.0/link3", "active")
    assert (change.before, change.delta) == (1, 0)
    assert change.kind.canonical == ("nvlink_state",)


def test_what_does_not_answer_once_is_asked_again(gpus):
    broken = {"FIELDS_CODE": 999}
    (first, second), _ = gpus(
        ["nvlink"], values(TX=10) | broken, values(TX=12) | {"FIELDS_CODE": 0}
    )
    assert of(first, "0000:10:00.0/link3").unknown["data_tx"]
    assert of(second, "0000:10:00.0/link3").values["data_tx"] == 12


def test_a_card_without_nvlink_has_no_places(gpus):
    (made,), _ = gpus(["nvlink"], {"TOPOLOGY": "pcie"})
    assert not made.readings
    assert not made.problems


def test_a_host_without_gpus_has_no_places(tmp_path):
    assert list(nvlink.read(Roots(tmp_path, tmp_path))) == []


@pytest.mark.parametrize("name", nvlink.FIELDS)
def test_every_field_counts(name):
    assert nvlink.kind(name, {}).counts
