"""Which links lost their carrier, and how they are now."""

import pytest

from railgauge.linux.carriers import carriers_lost, lost_since


@pytest.fixture
def device(tmp_path):
    """`device("fab0", downs, state)`: as the kernel shows it."""

    def write(name, downs, state="up"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "carrier_down_count").write_text(f"{downs}\n")
        (folder / "operstate").write_text(f"{state}\n")

    return write


def test_devices_whose_carrier_went_are_told_with_how_often_and_their_state(device, tmp_path):
    for name in ("eth0", "fab0", "fab1", "fab2"):
        device(name, 3)
    before = carriers_lost(tmp_path)
    assert lost_since(before, tmp_path) == ""
    device("fab0", 4, "lowerlayerdown")
    device("fab1", 6)
    assert lost_since(before, tmp_path) == "fab0 (once, down now), fab1 (3 times, up now)"


def test_a_device_that_is_gone_is_told_and_a_new_one_is_not(device, tmp_path):
    device("fab1", 9)
    assert lost_since({"fab0": 0}, tmp_path) == "fab0 (gone)"


@pytest.mark.parametrize("text", [b"", b"many", b"\xff\xfe", b"1" * 5000])
def test_what_is_no_number_is_left_out(tmp_path, text):
    (tmp_path / "fab0").mkdir()
    (tmp_path / "fab0" / "carrier_down_count").write_bytes(text)
    (tmp_path / "bonding_masters").write_text("")
    assert carriers_lost(tmp_path) == {}


def test_without_sysfs_nothing_is_known(tmp_path):
    assert carriers_lost(tmp_path / "none") == {}


def test_a_device_without_a_state_is_unknown(device, tmp_path):
    device("fab0", 1)
    (tmp_path / "fab0" / "operstate").unlink()
    assert lost_since({"fab0": 0}, tmp_path) == "fab0 (once, unknown now)"
