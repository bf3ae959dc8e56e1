"""What an address is, where a name is found, and what counts as a word of railgauge's own."""

from __future__ import annotations

import ipaddress
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge_reports.pack.redaction.addresses import addresses, made_up, spelled
from railgauge_reports.pack.redaction.collecting import Site
from railgauge_reports.pack.redaction.matching import Matcher
from railgauge_reports.pack.redaction.ours import is_plain, is_weak
from railgauge_reports.pack.redaction.pseudonyms import Pseudonyms


@pytest.mark.parametrize(
    ("text", "kind", "canonical"),
    [
        ("10.1.2.3", "ipv4", "10.1.2.3"),
        ("(10.1.2.3:80)", "ipv4", "10.1.2.3"),
        ("ip=010.001.002.003/24.", "ipv4", "10.1.2.3"),
        ("addr:2001:470::1", "ipv6", "20010470000000000000000000000001"),
        ("[fe80::a:1%eth0]:9", "ipv6", "fe8000000000000000000000000a0001"),
        ("::ffff:10.1.2.3", "ipv6", "00000000000000000000ffff0a010203"),
        ("0000:0000:0000:0000:0000:ffff:0a01:0203", "ipv6", "00000000000000000000ffff0a010203"),
        ("0C:42:A1:65:1A:2E", "mac", "0c42a1651a2e"),
        ("0c-42-a1-65-1a-2e", "mac", "0c42a1651a2e"),
        ("0c42.a165.1a2e", "mac", "0c42a1651a2e"),
        ("enx0c42a1651a2e", "mac", "0c42a1651a2e"),
        ("face:0c:42:a1:65:1a:2e", "mac", "0c42a1651a2e"),
        ("00:00:10:49:" + "fe:80:" * 7 + "1a:2e", "mac", "00001049" + "fe80" * 7 + "1a2e"),
        ("0c42:a103:0065:1a2e", "guid", "0c42a10300651a2e"),
        ("0c:42:a1:03:00:65:1a:2e", "guid", "0c42a10300651a2e"),
        ("0x0c42a10300651a2e", "guid", "0c42a10300651a2e"),
        ("0x42a10300651a2e", "guid", "0042a10300651a2e"),
        ("S-0c42a10300651a2e", "guid", "0c42a10300651a2e"),
        ("GPU-7f0e4c1a-90b2-4c4e-8a51-3d2f6a7b8c9d", "uuid", "7f0e4c1a90b24c4e8a513d2f6a7b8c9d"),
        ("7f0e4c1a90b24c4e8a513d2f6a7b8c9d", "uuid", "7f0e4c1a90b24c4e8a513d2f6a7b8c9d"),
    ],
)
def test_an_address_is_known_however_it_is_written(text, kind, canonical):
    assert [(a.kind, a.canonical) for a in addresses(text)] == [(kind, canonical)]


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "0.0.0.0", "255.255.255.0", "::1", "::", "ff02::1", "1.2.3", "1.2.3.4.5"),
        *("v1.2.3.4", "300.1.2.3", "12:34:56", "0000:3b:00.0", "00000000:3B:00.0", "0:0,1:0"),
        *("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "0x40c00000", "mlx5_0:1", "std::string"),
        *("00000000-0000-0000-0000-000000000000", "2026-11-23T20:15:00", "0-3,8", "a" * 64),
    ],
)
def test_what_says_nothing_of_a_site_is_no_address(text):
    assert list(addresses(text)) == []


@pytest.mark.parametrize(
    ("kind", "spelling"),
    [
        ("ipv4", "10.0.0.1"),
        ("ipv6", "2a02:168::9"),
        ("ipv6", "2A02:0168:0000:0000:0000:0000:0000:0009"),
        ("mac", "0c:42:a1:65:1a:2e"),
        ("mac", "0c42.a165.1a2e"),
        ("guid", "0c42:a103:0065:1a2e"),
        ("guid", "0x42A10300651A2E"),
        ("uuid", "7f0e4c1a-90b2-4c4e-8a51-3d2f6a7b8c9d"),
    ],
)
@given(number=st.integers(1, 10**6))
def test_a_made_up_address_is_written_as_the_original_was(kind, spelling, number):
    (original,) = addresses(spelling)
    made = made_up(kind, original.canonical, number)
    (found,) = addresses(shown := spelled(kind, made, spelling))
    assert (found.kind, found.canonical) == (kind, made)
    assert shown[2:].upper() == shown[2:] or spelling.lower() == spelling


def test_kinds_of_ipv6_stay():
    site, pseudonyms = Site(), Pseudonyms()
    site.text("fe80::1234:5 2a02:168::9 ::ffff:10.1.2.3 10.1.2.3")
    site.name_all(pseudonyms)
    made = [pseudonyms.address("ipv6", original) for original in site.addresses["ipv6"]]
    local, public, mapped = (ipaddress.IPv6Address(int(str(m), 16)) for m in made)
    assert local.is_link_local
    assert public in ipaddress.IPv6Network("2001:db8::/32")
    assert str(mapped.ipv4_mapped) == pseudonyms.address("ipv4", "10.1.2.3")


def test_different_addresses_never_become_one():
    site, pseudonyms = Site(), Pseudonyms()
    drawn = random.Random(1)
    for _ in range(400):
        site.text(f"240.0.0.{drawn.randrange(256)} 02:00:00:00:00:{drawn.randrange(256):02x}")
    site.name_all(pseudonyms)
    for kind in ("ipv4", "mac"):
        known = pseudonyms.map.addresses[kind]
        assert len(set(known.values())) == len(known)
        assert not set(known.values()) & known.keys()


# names ------------------------------------------------------------------------------------------------

NAMES = {"gpu1": "A", "gpu12": "B", "gpu1-ib0": "C", "node": "D", "7": "E", "<b>": "F", "x y": "G"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpu1 gpu12 gpu123", "A B gpu123"),
        ("GPU1: (gpu1)", "A: (A)"),
        ("gpu1-ib0 gpu1-ib1 gpu1_mlx5 xgpu1", "C A-ib1 A_mlx5 xgpu1"),
        ("gpu1ib0", "Aib0"),
        ("gpu1.hpc.test gpu1.other", "A A.other"),
        ("node nodes node_of Node-3 supernode", "D nodes node_of D-3 supernode"),
        ("7 of 7 on host 7, node 7", "7 of 7 on host E, D E"),
        ("<b><b>x y", "FFG"),
        ("", ""),
    ],
)
def test_names_are_found_as_whole_words_the_longest_first(text, expected):
    matcher = Matcher(NAMES, frozenset({"hpc.test"}))
    assert matcher.replaced(text, sentence=True) == expected


def test_a_word_of_ours_is_no_name_where_no_sentence_is():
    matcher = Matcher(NAMES)
    assert matcher.replaced("node", sentence=False) == "node"
    assert matcher.replaced("gpu1/node", sentence=False) == "A/node"


def test_hosts_that_differ_in_case_alone_are_two():
    matcher = Matcher({"Gpu1": "A", "gpu1": "B"})
    assert matcher.replaced("Gpu1 gpu1 GPU1", sentence=True) == "A B A"


@pytest.mark.parametrize(
    "name", ["node", "Send", "sendrecv", "float32", "7", "2024", "%", "-", "rank in"]
)
def test_words_of_ours_and_numbers_are_weak(name):
    assert is_weak(name)


@pytest.mark.parametrize(
    "name", ["node07", "n1", "zeus", "10.1.2.3", "mlx5", "<b>7", "日本", "rank zeus"]
)
def test_all_else_is_not(name):
    assert not is_weak(name)


@pytest.mark.parametrize(
    ("key", "value", "plain"),
    [
        ("operation", "sendrecv", True),
        ("operation", "on zeus", False),
        ("expected", "0x3ff0000000000000", True),
        ("found", "0x3ff0 on zeus", False),
        ("version", "5.8.1.2", True),
        ("text", "sendrecv", False),
    ],
)
def test_data_of_ours_is_known_by_its_key_and_its_looks(key, value, plain):
    assert is_plain(key, value) is plain


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("read /home/kowalski/x", "user", "kowalski"),
        ("cd ~kowalski/x", "user", "kowalski"),
        ("HOME=/Users/Jan.K;", "user", "Jan.K"),
        ("as kowalski@zeus7", "user", "kowalski"),
        ("Serial Number: MT2231X01234", "serial", "MT2231X01234"),
        ("psid SM_1141000001000 here", "board", "SM_1141000001000"),
        ("mount nfs3.storage.example.org:/x", "name", "nfs3.storage.example.org"),
    ],
)
def test_what_names_somebody_is_known_by_its_looks(text, kind, name):
    site = Site()
    site.text(text)
    assert list(site.words[kind]) == [name]


@pytest.mark.parametrize(
    "text",
    ["see cli.py", "libnccl.so.2", "IpExt.InCEPkts", "/root/x", "serial: none", "a~b", "x@3.1"],
)
def test_what_names_nobody_is_left_alone(text):
    site = Site()
    site.text(text)
    assert site.words == {}


def test_lists_of_hosts_and_hosts_numbered_alike_are_known():
    site = Site()
    site.add_hosts(("dgx-01", "dgx-02"), nodes=True)
    site.text("srun -w dgx-[03-04] after dgx-09 failed; receive 0[17], cpus[0-3]")
    assert list(site.hosts) == ["dgx-01", "dgx-02", "dgx-09", "dgx-03", "dgx-04"]
