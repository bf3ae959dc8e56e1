"""Lists of devices as NCCL reads them, and names that it does not know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.nccl.variables import known, selection, strangers

DEVICES = ("mlx5_0", "mlx5_1", "mlx5_10", "mlx5_bond_0")


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", DEVICES),
        ("mlx5", DEVICES),
        ("mlx5_1", ("mlx5_1", "mlx5_10")),
        ("=mlx5_1", ("mlx5_1",)),
        ("^mlx5_1", ("mlx5_0", "mlx5_bond_0")),
        ("^=mlx5_1", ("mlx5_0", "mlx5_10", "mlx5_bond_0")),
        ("=mlx5_0:1,mlx5_1:1:0:2", ("mlx5_0", "mlx5_1")),
        ("=mlx5_0:2", ()),
        ("bnxt", ()),
        (" , ", DEVICES),
        (" mlx5_0", ()),
        ("^ mlx5_0", DEVICES),
    ],
)
def test_devices_are_taken_as_nccl_takes_them(text, taken):
    assert tuple(d for d in DEVICES if selection(text).takes(d, 1)) == taken


def test_devices_have_a_place_in_the_list():
    chosen = selection("=mlx5_10,mlx5_0:2")
    assert [chosen.place(device, 1) for device in DEVICES] == [None, None, 0, None]
    assert chosen.place("mlx5_0", 2) == 1


def test_a_prefix_that_takes_more_than_its_name_is_noticed():
    assert selection("mlx5_1").by_accident(DEVICES) == ["mlx5_10"]
    assert selection("=mlx5_1").by_accident(DEVICES) == []
    assert selection("mlx5").by_accident(DEVICES) == []  # nothing bears that name: it is meant


@pytest.mark.parametrize("text", ["mlx5_0:x", ":1", "mlx5_0:1:2:3:4", "mlx5_0, mlx5_1"])
def test_entries_that_mean_nothing_are_named(text):
    assert selection(text).odd


@given(st.text(max_size=40))
def test_whatever_is_set_is_read_without_a_crash(text):
    selection(text).takes("mlx5_0", 1)
    selection(text).by_accident(DEVICES)


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("NCCL_IB_HCAS", "NCCL_IB_HCA"),
        ("NCCL_SOCKET_IF_NAME", "NCCL_SOCKET_IFNAME"),
        ("NCCL_IB_TRAFFIC_CLASSES_OF_MINE", ""),
    ],
)
def test_a_name_that_nccl_does_not_read_gets_the_closest(name, close):
    assert strangers([name]) == {name: close}


def test_known_names_and_those_of_plug_ins_are_not_strange():
    names = [
        "NCCL_IB_HCA",
        "NCCL_DEBUG",
        "NCCL_ALGO",
        "NCCL_VERSION",
        "NCCL_OFI_X",
        "UCX_TLS",
        "PATH",
    ]
    assert strangers(names) == {}


def test_the_table_of_names_is_in_order_and_has_none_twice():
    assert list(known().names) == sorted(set(known().names))
    assert not [name for name in known().names if name.startswith("NCCL_")]
