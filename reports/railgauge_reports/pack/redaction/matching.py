"""Finds known names in text: whole words, the longest first, whatever their case.

Text falls into atoms: a run of letters, a run of digits, or one other character; a name is a row of
atoms. So `gpu1` is found in `gpu1-ib0` and in `GPU1:`, and neither in `gpu12` nor in `xgpu1`; and the
time is that of the text, however many names there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from railgauge_reports.pack.redaction.ours import is_weak

_ATOM = re.compile(r"[^\W\d_]+|\d+|[\W_]", re.DOTALL)
_DOMAIN = re.compile(r"(?:\.[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+")


class Matcher:
    """`names` maps a name to what stands for it; `domains` are those of the hosts, in lower case.

    Weak names (`ours.is_weak`) are found only where a text is a sentence, as words by themselves.
    """

    def __init__(self, names: Mapping[str, str], domains: frozenset[str] = frozenset()) -> None:
        self._exact = dict(names)
        self._lower: dict[str, str] = {}
        self._weak: set[str] = set()
        self._lengths: dict[str, list[int]] = {}
        self._domains = domains
        lengths: dict[str, set[int]] = {}
        for name, made in names.items():
            lower = name.lower()
            self._lower.setdefault(lower, made)
            if is_weak(name):
                self._weak.add(lower)
            atoms = _ATOM.findall(lower)
            if atoms:
                lengths.setdefault(atoms[0], set()).add(len(atoms))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}

    def whole(self, text: str) -> str | None:
        """What stands for exactly this name, in any case."""
        return self._exact.get(text) or self._lower.get(text.lower())

    def replaced(self, text: str, sentence: bool) -> str:
        """The text with all names in it replaced."""
        parts, at = [], 0
        for start, end, made in self.found(text, sentence):
            parts += [text[at:start], made]
            at = end
        return "".join([*parts, text[at:]]) if parts else text

    def found(self, text: str, sentence: bool) -> Iterator[tuple[int, int, str]]:
        """(start, end, what stands for it) of all names, none of which overlap."""
        spans = [match.span() for match in _ATOM.finditer(text)]
        if not any(text[start:end].lower() in self._lengths for start, end in spans):
            return
        k = 0
        while k < len(spans):
            start = spans[k][0]
            lengths = self._lengths.get(text[start : spans[k][1]].lower(), ())
            for length in lengths:
                if k + length > len(spans):
                    continue
                end = spans[k + length - 1][1]
                made = self.whole(text[start:end])
                if made is not None and self._counts(text, start, end, sentence):
                    end = self._with_domain(text, end)
                    yield start, end, made
                    while k < len(spans) and spans[k][0] < end:
                        k += 1
                    break
            else:
                k += 1

    def _counts(self, text: str, start: int, end: int, sentence: bool) -> bool:
        name = text[start:end]
        if name.lower() not in self._weak:
            return True
        if not sentence:
            return False
        around = text[max(start - 1, 0) : start] + text[end : end + 1]
        if any(character.isalnum() or character == "_" for character in around):
            return False
        return (
            not name.isdecimal() or re.search(r"(?i)\b(host|node|on)\s+$", text[:start]) is not None
        )

    def _with_domain(self, text: str, end: int) -> int:
        """The end of a host's name with the domain behind it."""
        match = _DOMAIN.match(text, end)
        while match and self._domains:
            tail = text[end : match.end()].lower().lstrip(".")
            if tail in self._domains:
                return match.end()
            shorter = match[0].rpartition(".")[0]
            match = re.compile(re.escape(shorter)).match(text, end) if shorter else None
        return end
