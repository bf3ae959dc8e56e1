"""Lists of hosts as Slurm writes them."""

from __future__ import annotations

import pytest

from railgauge.errors import UsageError
from railgauge.host_lists import expanded, hosts_in


@pytest.mark.parametrize(
    ("word", "hosts"),
    [
        ("node7", ["node7"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[08-10,12]x", ["n08x", "n09x", "n10x", "n12x"]),
        ("r[1-2]n[0-1]", ["r1n0", "r1n1", "r2n0", "r2n1"]),
    ],
)
def test_a_list_of_hosts_is_spelt_out(word, hosts):
    assert list(expanded(word)) == hosts


@pytest.mark.parametrize(
    "word",
    [
        *("n[1-", "n]1[", "n[3-1]", "n[a-b]", "n[]", "n[1-99999999999]", f"n[{'0' * 5000}]"),
        *("r[1-9999]n[1-9999]", f"n[{','.join(['0-999999'] * 2)}]"),
    ],
)
def test_a_list_of_hosts_that_means_nothing_is_refused(word):
    with pytest.raises(UsageError, match="host list"):
        list(expanded(word))


def test_words_are_split_by_blanks_and_by_commas_outside_brackets():
    assert list(hosts_in("a[1,3],b  c,,d")) == ["a1", "a3", "b", "c", "d"]
    assert list(hosts_in(" ,")) == []
