"""Network devices of this namespace, whatever their driver."""

from __future__ import annotations

from railgauge.counters import netdev
from railgauge.counting import Roots


def test_statistics_and_carrier_are_read_and_the_loopback_is_not(tmp_path):
    files = {
        "eth0/statistics/rx_bytes": 10,
        "eth0/statistics/rx_dropped": "x",
        "eth0/carrier_down_count": 2,
        "eth0/mtu": 9000,
        "eth0/operstate": "up",
        "lo/statistics/rx_bytes": 1,
        "bonding_masters": "bond0",
    }
    for name, value in files.items():
        path = tmp_path / "class/net" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    (reading,) = netdev.read(Roots(tmp_path, tmp_path))
    assert reading.place.device == "eth0"
    assert reading.values == {"rx_bytes": 10, "carrier_down_count": 2}
    assert reading.unknown == {"rx_dropped": "not a number: 'x'"}
    assert reading.facts == {"mtu": "9000", "operstate": "up"}
    assert netdev.kind("rx_bytes", {}).unit == "B"


def test_sent_bytes_of_a_real_device_are_counted(tmp_path):
    del tmp_path
    assert all(reading.values for reading in netdev.read(Roots()))


def test_a_carrier_that_went_is_a_link_that_went_down():
    assert netdev.kind("carrier_down_count", {}).canonical == ("link_down",)
    assert netdev.kind("carrier_up_count", {}).canonical == ()
