"""Lists of ranks as text, as the journal and reports have them; imports nothing."""

from __future__ import annotations

from collections.abc import Iterable


def encode_ranks(ranks: Iterable[int]) -> str:
    """`0-3,8`: ascending ranks as inclusive ranges."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][1] + 1:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank])
    return ",".join(f"{a}-{b}" if b > a else str(a) for a, b in runs)


def decode_ranks(text: str) -> list[int]:
    """The ranks of `encode_ranks`."""
    ranks: list[int] = []
    for item in filter(None, text.split(",")):
        first, _, last = item.partition("-")
        ranks.extend(range(int(first), int(last or first) + 1))
    return ranks
