"""PCIe on a sysfs made here: errors and links of NICs and GPUs and of every bridge above them."""

from __future__ import annotations

import shutil

import pytest

from railgauge import counting
from railgauge.counters import pcie
from railgauge.counting import Roots, Snapshot

PORT, SWITCH = "0000:00:01.0", "0000:01:00.0"
NIC, GPU = "0000:02:00.0", "0000:03:00.0"
BELOW = f"pci0000:00/{PORT}/{SWITCH}"
CORRECTABLE = "RxErr 0\nBadTLP 3\nTOTAL_ERR_COR 3\n"
LINK = {"current_link_speed": "32.0 GT/s PCIe", "current_link_width": "16"}


class Tree:
    def __init__(self, root):
        self.root = root

    def device(self, path, code, **files):
        folder = self.root / "devices" / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in {"class": code, **files}.items():
            raw = content if isinstance(content, bytes) else f"{content}\n".encode()
            (folder / name).write_bytes(raw)
        link = self.root / "bus/pci/devices" / folder.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(folder)
        return folder

    def read(self):
        return {r.place.device: r for r in pcie.read(Roots(self.root, self.root))}

    def snapshot(self):
        return Snapshot(0, tuple(self.read().values()))


@pytest.fixture
def tree(tmp_path):
    """A NIC and a GPU below one switch, a bridge that leads nowhere, and a disk."""
    made = Tree(tmp_path)
    made.device(f"pci0000:00/{PORT}", "0x060400", aer_rootport_total_err_cor="4", **LINK)
    made.device(BELOW, "0x060400", **LINK)
    nic = made.device(f"{BELOW}/{NIC}", "0x020000", aer_dev_correctable=CORRECTABLE, **LINK)
    for folder in ("net/eth2", "infiniband/mlx5_0"):
        (nic / folder).mkdir(parents=True)
        link = tmp_path / "class" / folder
        link.parent.mkdir(parents=True)
        link.symlink_to(nic / folder)
    made.device(f"{BELOW}/{GPU}", "0x030200", vendor="0x10de", max_link_width="16", **LINK)
    made.device("pci0000:00/0000:00:02.0", "0x060400", **LINK)
    made.device("pci0000:00/0000:00:03.0", "0x010802", **LINK)
    return made


def test_nics_gpus_and_the_bridges_above_them_are_read_and_nothing_else(tree):
    found = tree.read()
    assert set(found) == {PORT, SWITCH, NIC, GPU}
    assert {found[a].facts["class"] for a in (PORT, SWITCH)} == {"bridge"}
    assert (found[NIC].facts["class"], found[GPU].facts["class"]) == ("nic", "gpu")


def test_every_device_says_which_nics_and_gpus_are_reached_through_it(tree):
    found = tree.read()
    assert found[NIC].facts["serves"] == f"{NIC} eth2 mlx5_0"
    assert found[GPU].facts["serves"] == GPU
    assert (
        found[PORT].facts["serves"] == found[SWITCH].facts["serves"] == f"{NIC} eth2 mlx5_0 {GPU}"
    )


def test_one_file_holds_several_counters(tree):
    found = tree.read()
    assert found[NIC].values == {
        "correctable.RxErr": 0,
        "correctable.BadTLP": 3,
        "correctable.TOTAL_ERR_COR": 3,
        "link_speed": 32_000,
        "link_width": 16,
    }
    assert found[PORT].values["aer_rootport_total_err_cor"] == 4
    assert pcie.kind("correctable.BadTLP", {}).canonical == ("pcie_correctable",)
    assert pcie.kind("fatal.DLP", {}).canonical == ("pcie_fatal",)
    assert (
        pcie.kind("correctable.TOTAL_ERR_COR", {}).canonical == ()
    )  # each error would count twice


def test_errors_are_counted_and_a_lost_lane_is_told(tree):
    before = tree.snapshot()
    more = {"aer_dev_correctable": "RxErr 1\nBadTLP 5\nTOTAL_ERR_COR 6"}
    tree.device(f"{BELOW}/{NIC}", "0x020000", **more)
    tree.device(BELOW, "0x060400", current_link_width="8")
    moved = list(counting.changes(before, tree.snapshot(), still=False))
    assert {(c.place.device, c.name, c.delta) for c in moved} == {
        (NIC, "correctable.RxErr", 1),
        (NIC, "correctable.BadTLP", 2),
        (NIC, "correctable.TOTAL_ERR_COR", 3),
        (SWITCH, "link_width", 8),
    }
    assert {c.kind.canonical for c in moved if c.name == "link_width"} == {("pcie_width",)}


def test_what_a_link_could_do_is_a_fact_and_what_it_does_stands_beside_it(tree):
    facts = tree.read()[GPU].facts
    assert (facts["max_link_width"], facts["current_link_width"]) == ("16", "16")
    assert facts["current_link_speed"] == "32.0 GT/s PCIe"


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"", {}),
        (b"BadTLP\n", {}),
        (b"BadTLP x\n", {}),
        (b" 5\n", {}),
        (b"\xff\xfe 5 7 \n", {}),
        (b"RxErr 1\nBadTLP", {"correctable.RxErr": 1}),  # cut short
        (b"RxErr 1\nRxErr 2\n", {"correctable.RxErr": 1}),
        (b"RxErr 99999999999999999999999\n", {}),
        (b"A 1\n" + b"x" * 100_000, {"correctable.A": 1}),
    ],
)
def test_a_file_of_another_shape_is_unknown_and_what_is_whole_is_kept(tree, content, values):
    tree.device(f"{BELOW}/{GPU}", "0x030200", aer_dev_correctable=content)
    found = tree.read()[GPU]
    assert {k: v for k, v in found.values.items() if k.startswith("correctable")} == values
    assert found.unknown["correctable.*"].startswith("not a counter: ")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("current_link_speed", "Unknown"),
        ("current_link_width", "0"),
        ("current_link_width", "63x"),
        ("current_link_speed", "nan GT/s PCIe"),
        ("current_link_speed", "inf GT/s"),
        ("current_link_width", b"\xff" * 5000),
    ],
)
def test_a_link_without_speed_or_width_is_unknown_and_not_0(tree, file, content):
    tree.device(f"{BELOW}/{GPU}", "0x030200", **{file: content})
    found = tree.read()[GPU]
    name = file.removeprefix("current_")
    assert name not in found.values
    assert found.unknown[name].startswith("no link: ")


def test_a_device_that_vanishes_between_two_readings_is_vanished_and_not_0(tree):
    before = tree.snapshot()
    shutil.rmtree(tree.root / "devices" / BELOW / NIC)
    assert tree.read()[NIC].unknown == {"*": "No such file or directory"}  # the bus still lists it
    (tree.root / "bus/pci/devices" / NIC).unlink()
    moved = list(counting.changes(before, tree.snapshot(), still=False))
    assert {(c.place.device, c.note) for c in moved} == {(NIC, "vanished")}


def test_an_emulated_bridge_counts_for_nothing(tree):
    tree.device(BELOW, "0x060400", vendor="0x1b36")
    assert SWITCH not in tree.read()


def test_a_host_without_pci_has_no_places(tmp_path):
    assert list(pcie.read(Roots(tmp_path, tmp_path))) == []
