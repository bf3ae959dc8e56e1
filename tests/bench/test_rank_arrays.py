"""Lists of ranks of a whole round at once, the same as one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.errors import NotMeasuredError
from railgauge.rank_arrays import count_ranks, decode_all
from railgauge.rank_lists import decode_ranks, encode_ranks

TEXTS = st.lists(st.sets(st.integers(0, 300)).map(lambda ranks: encode_ranks(sorted(ranks))))


@given(TEXTS)
def test_many_lists_are_decoded_as_each_alone(texts):
    alone = [decode_ranks(text) for text in texts]
    ranks, counts = decode_all(texts)
    assert ranks.tolist() == [rank for one in alone for rank in one]
    assert counts.tolist() == [len(one) for one in alone] == [count_ranks(text) for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        *("5-3", "a", "1,,2", "1-", "-1", "1-2-3", ",1", "1,", " 1", "1\n", "1;2", "é", "\x00"),
        *("9" * 10, "0-999999999", "1.5", "0x3", "<script>"),
    ],
)
def test_what_is_no_list_of_ranks_is_named(text):
    with pytest.raises(NotMeasuredError, match="no list of ranks") as caught:
        decode_all(["0-3", text, ""])
    assert repr(text) in str(caught.value)
