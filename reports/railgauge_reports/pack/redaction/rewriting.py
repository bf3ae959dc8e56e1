"""Texts and JSON with everything replaced that `collecting` has found; numbers stay as they are."""

from __future__ import annotations

from collections.abc import Iterator

from railgauge.errors import NotMeasuredError
from railgauge_reports.pack.redaction.addresses import addresses, spelled
from railgauge_reports.pack.redaction.collecting import (
    HOST_KEYS,
    HOST_LIST,
    LEAVES,
    USER_KEYS,
    Site,
)
from railgauge_reports.pack.redaction.json_text import NotJsonError, String, rewritten, strings
from railgauge_reports.pack.redaction.matching import Matcher
from railgauge_reports.pack.redaction.ours import VERSIONS, is_plain, words
from railgauge_reports.pack.redaction.pseudonyms import Pseudonyms

_MOST_LISTED = 4096
_MOST_REMEMBERED, _SHORT = 1 << 17, 512  # texts, and characters of one
_HASH = "plan_sha256"


class Redactor:
    """Replaces what a site's pseudonyms know; the same text always becomes the same.

    `plans` maps the digest of a plan to that of the plan that it became.
    """

    def __init__(self, site: Site, pseudonyms: Pseudonyms, plans: dict[str, str]) -> None:
        self._site, self._pseudonyms, self.plans = site, pseudonyms, plans
        self._matcher = Matcher(pseudonyms.words(), frozenset(site.domains))
        self._clean: set[str] = set()
        self._known: dict[tuple[str, str, bool], str] = {}

    # rewriting ------------------------------------------------------------------------------------

    def document(self, text: str) -> str:
        """A JSON text; what is no JSON is treated as a text."""
        try:
            return rewritten(text, self.string)
        except NotJsonError:
            return self.text(text)

    def text(self, text: str) -> str:
        """A text of words."""
        return self._remembered(text, "", True)

    def name(self, text: str) -> str:
        """The name of a file: everything that is known in it."""
        return self._remembered(text, "", False)

    def string(self, string: String) -> str:
        """A string of a JSON text, by where it stands."""
        value, key = string.value, string.key
        if string.is_key:
            return value if value.lower() in words() else self._remembered(value, "", False)
        if key == _HASH:
            return self.plans.get(value, value)
        if key in HOST_KEYS or key in USER_KEYS or (key == LEAVES and string.depth):
            made = self._matcher.whole(value)
            return self._remembered(value, "", True) if made is None else made
        if key == "name" and string.above == "cluster":
            return self._matcher.whole(value) or value
        return self._remembered(value, VERSIONS if string.above == VERSIONS else key, " " in value)

    def _remembered(self, text: str, key: str, sentence: bool) -> str:
        known = self._known.get((text, key, sentence))
        if known is None:
            known = self._replaced(text, key, sentence)
            if len(self._known) < _MOST_REMEMBERED and len(text) <= _SHORT:
                self._known[text, key, sentence] = known
        return known

    def _replaced(self, text: str, key: str, sentence: bool) -> str:
        if key == VERSIONS or is_plain(key, text):
            return self._matcher.replaced(text, sentence=False)
        if (
            not sentence
            and (made := self._matcher.whole(text)) is not None
            and not text.isdecimal()
        ):
            return made
        parts, at = [], 0
        for start, end, made in self._marked(text):
            parts += [self._matcher.replaced(text[at:start], sentence), made]
            at = end
        return "".join([*parts, self._matcher.replaced(text[at:], sentence)])

    def _marked(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Addresses and lists of hosts: (start, end, what stands for it), none of which overlap."""
        found = [*self._lists(text), *self._addresses(text)]
        at = 0
        for start, end, made in sorted(found):
            if start >= at:
                yield start, end, made
                at = end

    def _addresses(self, text: str) -> Iterator[tuple[int, int, str]]:
        for found in addresses(text):
            like = text[found.start : found.end]
            name = self._matcher.whole(like)
            made = self._pseudonyms.address(found.kind, found.canonical)
            if name is None and made is None:
                raise NotMeasuredError(  # fail closed
                    f"{found.kind} {like!r}: nothing stands for it; nothing was packed.\n"
                    "  expected: every address to have been seen before; this is a defect, tell us"
                )
            yield found.start, found.end, name or spelled(found.kind, str(made), like)

    def _lists(self, text: str) -> Iterator[tuple[int, int, str]]:
        for match in HOST_LIST.finditer(text) if "[" in text else ():
            hosts = self._site.hosts_of(match[0])
            made = [self._matcher.whole(host) or "" for host in hosts[:_MOST_LISTED]]
            if made:
                yield match.start(), match.end(), ",".join(made)

    # looking for what is left -----------------------------------------------------------------------

    def left_in_document(self, text: str) -> str:
        """What of the site a JSON text still shows, "" if nothing."""
        try:
            for string in strings(text):
                if self.string(string) != string.value:
                    return string.value
                if left := self.left_in(string.value):
                    return left
        except NotJsonError:
            return self.left_in_text(text)
        return ""

    def left_in_text(self, text: str) -> str:
        """The same of a text of words."""
        return text if self.text(text) != text else self.left_in(text)

    def left_in(self, text: str) -> str:
        """A name that is no word of ours, or an address, wherever it stands and whatever surrounds it."""
        if text in self._clean:
            return ""
        for start, end, _ in self._matcher.found(text, sentence=False):
            return text[start:end]
        for found in addresses(text):
            if self._pseudonyms.is_original(found.kind, found.canonical):
                return text[found.start : found.end]
        if len(self._clean) < _MOST_REMEMBERED and len(text) <= _SHORT:
            self._clean.add(text)
        return ""
