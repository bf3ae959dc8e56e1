"""Waivers: whom they cover, until when, and what is wrong in a file of them."""

from __future__ import annotations

import datetime

import pytest

from railgauge.errors import UsageError
from railgauge_reports.acceptance.waivers import Waiver, read_waivers

GOOD = """
[[waivers]]
finding = "pairs/busbw-of-median/n1*"
author = "A. Buyer"
reason = "cable on order"
expires = 2027-01-31
"""
DAY = datetime.date(2027, 1, 31)


def waiver(finding):
    return Waiver(finding=finding, author="a", reason="r", expires=DAY)


def test_a_waiver_is_read_whole(tmp_path):
    path = tmp_path / "w.toml"
    path.write_text(GOOD)
    (made,) = read_waivers(path)
    assert made.expires == DAY
    assert made.sentence() == (
        "pairs/busbw-of-median/n1*, by A. Buyer until 2027-01-31: cable on order"
    )


def test_it_holds_to_the_end_of_its_day():
    assert waiver("a/b/c").holds(DAY)
    assert not waiver("a/b/c").holds(DAY + datetime.timedelta(days=1))


@pytest.mark.parametrize(
    ("finding", "key", "covered"),
    [
        ("a/b/c", "a/b/c", True),
        ("a/b/c", "a/b/cc", False),
        ("a/b/c*", "a/b/c:rail3", True),
        ("a/*/c", "a/busbw/c", True),
        ("*/*/n1", "pairs/x/n1", True),
        ("a/b/n.1", "a/b/nx1", False),
        ("a/b/n[1]", "a/b/n1", False),
    ],
)
def test_stars_alone_stand_for_anything(finding, key, covered):
    assert waiver(finding).covers(key) is covered


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"A. Buyer"', '""', "author"),
        ('"cable on order"', '"   "', "reason"),
        ("expires = 2027-01-31", "", "expires"),
        ("2027-01-31", "'soon'", "expires"),
        ("2027-01-31", "2027-02-31", "--waivers"),
        ("pairs/busbw-of-median/n1*", "n1", "finding"),
        ("author", "auhtor", "auhtor"),
        ("[[waivers]]", "[[waiver]]", "waiver"),
    ],
)
def test_a_bad_field_is_named(tmp_path, old, new, said):
    path = tmp_path / "w.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(UsageError) as caught:
        read_waivers(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"\x00"])
def test_a_file_that_is_no_text_is_refused(tmp_path, raw):
    path = tmp_path / "w.toml"
    path.write_bytes(raw)
    with pytest.raises(UsageError, match="--waivers"):
        read_waivers(path)
