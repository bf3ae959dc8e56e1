"""What of a run gives its site away: hosts by their place in the files, the rest by how it looks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from railgauge.errors import UsageError
from railgauge.host_lists import expanded
from railgauge_reports.pack.redaction.addresses import addresses
from railgauge_reports.pack.redaction.json_text import String
from railgauge_reports.pack.redaction.ours import VERSIONS, is_plain, is_weak
from railgauge_reports.pack.redaction.pseudonyms import Pseudonyms

#: Under these keys a string is the name of a host.
HOST_KEYS = frozenset(("host", "hosts", "hostname", "hostnames"))
USER_KEYS = frozenset(("user", "username", "users", "login", "logname", "owner"))
LEAVES = "leaves"  # [[leaf, [host, ...]], ...] of a plan
_SERIAL_KEY = re.compile(r".*(serial|asset|vpd|part_?number).*|sn", re.IGNORECASE)
_BOARD_KEY = re.compile(r"board_?id|psid", re.IGNORECASE)
_HOME = re.compile(r"/(?:home|homes|users)/([^/\s\"'`:;,<>|&(){}\[\]]+)", re.IGNORECASE)
_TILDE = re.compile(r"(?<![\w/~.])~([A-Za-z_][\w-]+)")
_AT = re.compile(r"(?<![\w.-])([A-Za-z_][\w.-]*)@([A-Za-z0-9](?:[\w.-]*\w)?)")
_SERIAL = re.compile(
    r"\b(?:serial(?:[ _-]?(?:number|no\.?))?|s/n|asset[ _-]tag)\s*[:=#]?\s*([A-Z0-9][A-Z0-9-]{3,})",
    re.IGNORECASE,
)
_PSID = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2,4}_?[0-9]{10,13}(?![0-9A-Za-z])")  # MT_0000000838
HOST_LIST = re.compile(r"[A-Za-z][\w.-]*\[[0-9][0-9,-]*\][\w.-]*")
_NUMBERED = re.compile(r"(.*?)(\d+)")
_FEWEST_LETTERS = 3  # of what numbered hosts have in common
_MOST_STEMS = 200
_MOST_REMEMBERED, _SHORT = 1 << 17, 512  # texts, and characters of one
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)*[A-Za-z][A-Za-z0-9-]*")
_TOP = (
    r"com|org|net|edu|gov|mil|int|local|internal|localdomain|lan|corp|intra|cluster|hpc|io|ai|cloud"
)
_COUNTRY = (
    r"ac|at|au|be|br|ca|ch|cn|cz|de|dk|es|eu|fi|fr|gr|hk|ie|il|it|jp|kr|nl|no|nz|pt|ru|se|sg|tw"
    r"|uk|us|za"
)
_QUALIFIED = re.compile(
    rf"(?<![\w.@-])(?:{_LABEL}\.)+(?:{_TOP})(?![\w-]|\.\w)"
    rf"|(?<![\w.@-])(?:{_LABEL}\.){{2,}}(?:{_COUNTRY})(?![\w-]|\.\w)",
    re.IGNORECASE,
)


class Site:
    """Everything that was seen, each once, in the order in which it came."""

    def __init__(self) -> None:
        self.hosts: dict[str, None] = {}
        self._nodes: set[str] = set()  # hosts of one run's list: each is a machine of its own
        self.words: dict[str, dict[str, None]] = {}
        self.addresses: dict[str, dict[str, None]] = {}
        self.domains: set[str] = set()
        self.clusters: dict[str, None] = {}
        self._seen: set[str] = set()
        self._strings: dict[tuple[str, str], None] = {}  # (key, value), each once
        self._stem_patterns: list[re.Pattern[str]] | None = None
        self._known_lower: tuple[int, set[str]] = (0, set())

    def add_hosts(self, hosts: Iterable[str], nodes: bool = False) -> None:
        """Names of hosts; `nodes`: those of the nodes of one run, in its order."""
        for host in hosts:
            if host := host.strip():
                lines = host.splitlines()  # texts are read by the line
                for name in (host, *(lines if len(lines) > 1 else ())):
                    self.hosts.setdefault(name)
                if nodes:
                    self._nodes.add(host)
                _, _, domain = host.partition(".")
                if domain and not is_weak(domain) and _DOMAIN.fullmatch(domain):
                    self._domain(domain)

    def add_user(self, user: str) -> None:
        """The login name of somebody."""
        self._add("user", user)

    def _domain(self, domain: str) -> None:
        self.domains.add(domain.lower())
        if "." in domain:  # one label alone is too common a word to be replaced wherever it stands
            self._add("name", domain)

    def _add(self, kind: str, name: str) -> None:
        if name:
            self.words.setdefault(kind, {}).setdefault(name)

    # structure ------------------------------------------------------------------------------------

    def place(self, string: String) -> None:
        """A string that by its place is the name of something."""
        key, value = string.key, string.value
        if string.is_key or string.above != VERSIONS:
            self._strings.setdefault((key, value))
        if string.is_key or not value:
            return
        if key in HOST_KEYS:
            several = re.split(
                r"[\s,]+", value
            )  # a report's row has the hosts of a group in one string
            if not all(host in self.hosts for host in several):
                self.add_hosts((value,))
        elif key == LEAVES and string.depth == 2:
            self._add("leaf", value)
        elif key == LEAVES:
            self.add_hosts((value,))
        elif key == "name" and string.above == "cluster":
            self.clusters.setdefault(value)
        elif key == "SLURM_TOPOLOGY_ADDR":
            for part in value.split("."):
                self._add("leaf", part)
        elif key in USER_KEYS:
            self._add("user", value)
        elif _identifies(value):
            if _BOARD_KEY.fullmatch(key):
                self._add("board", value)
            elif _SERIAL_KEY.fullmatch(key):
                self._add("serial", value)

    # looks ----------------------------------------------------------------------------------------

    def strings(self) -> None:
        """The strings that were at some place, once all places are known."""
        for key, value in self._strings:
            if not is_plain(key, value):
                self.text(value)

    def text(self, text: str) -> None:
        """A text, once all places are known."""
        if text in self._seen:
            return
        if len(self._seen) < _MOST_REMEMBERED and len(text) <= _SHORT:
            self._seen.add(text)
        for found in addresses(text):
            self.addresses.setdefault(found.kind, {}).setdefault(found.canonical)
        for user in (*_HOME.findall(text), *_TILDE.findall(text)):
            if user not in ("root", ".", ".."):
                self._add("user", user)
        for user, host in _AT.findall(text):
            if re.search("[A-Za-z]", host) and not (is_weak(user) and is_weak(host)):
                self.add_hosts((host,))
                if user != "root":
                    self._add("user", user)
        for serial in _SERIAL.findall(text):
            if _identifies(serial):
                self._add("serial", serial)
        for board in _PSID.findall(text):
            self._add("board", board)
        self._names(text)

    def _names(self, text: str) -> None:
        for name in _QUALIFIED.findall(text):
            first, _, domain = name.partition(".")
            if first.lower() in self._lower_hosts():
                self._domain(domain)
            elif name not in self.hosts:
                self._add("name", name)
        for pattern in self._stems():
            self.add_hosts(pattern.findall(text))
        for word in HOST_LIST.findall(text):
            self.add_hosts(self.hosts_of(word))

    def hosts_of(self, word: str) -> list[str]:
        """The hosts of a list like `gpu[01-16]` where they are numbered as those of the run are."""
        try:
            found = list(expanded(word))
        except UsageError:
            return []
        known = self._lower_hosts()
        alike = any(host.lower() in known for host in found)
        stem = word.partition("[")[0].lower()
        return found if alike or (stem and stem in self._numbered()) else []

    def _lower_hosts(self) -> set[str]:
        if self._known_lower[0] != len(self.hosts):
            self._known_lower = len(self.hosts), {host.lower() for host in self.hosts}
        return self._known_lower[1]

    def _numbered(self) -> set[str]:
        """What numbered hosts begin with."""
        matches = (_NUMBERED.fullmatch(host.partition(".")[0]) for host in self._nodes)
        return {match[1].lower() for match in matches if match}

    def _stems(self) -> list[re.Pattern[str]]:
        """Patterns of hosts that are numbered as the run's are, and did not take part in it."""
        if self._stem_patterns is None:
            numbered = self._numbered()
            stems = sorted(s for s in numbered if len(s) >= _FEWEST_LETTERS and not is_weak(s))
            any_of = "|".join(map(re.escape, stems[:_MOST_STEMS]))
            pattern = rf"(?<![^\W_])(?:{any_of})\d+(?![0-9])"
            self._stem_patterns = [re.compile(pattern, re.IGNORECASE)] if stems else []
        return self._stem_patterns

    # giving names -----------------------------------------------------------------------------------

    def originals(self) -> Iterator[str]:
        """All names."""
        yield from self.hosts
        for words in self.words.values():
            yield from words

    def name_all(self, pseudonyms: Pseudonyms) -> None:
        """Give everything what stands for it: hosts in their order, first those of the runs."""
        pseudonyms.choose_prefixes(self.originals())
        pseudonyms.add_addresses(self.addresses)
        spelled: dict[str, str] = {}
        for host in sorted(self.hosts, key=lambda host: host not in self._nodes):
            short = host.partition(".")[0].lower() if not host[:1].isdigit() else host.lower()
            alike = spelled.get(host.lower()) or (
                None if host in self._nodes else spelled.get(short)
            )
            pseudonyms.word("host", host, None if host in self._nodes else alike)
            spelled.setdefault(host.lower(), host)
            spelled.setdefault(short, host)
        for host in list(self.hosts):
            short = host.partition(".")[0]
            if (
                short != host
                and short
                and not short.isdecimal()
                and short.lower() not in self._lower_hosts()
            ):
                pseudonyms.word("host", short, host)
        for kind, words in self.words.items():
            for word in words:
                if word.lower() not in spelled:
                    pseudonyms.word(kind, word)
        for cluster in self.clusters:
            if not is_weak(cluster):
                pseudonyms.map.words.setdefault("cluster", {})[cluster] = pseudonyms.map.prefixes[
                    "host"
                ]


def _identifies(value: str) -> bool:
    """Could it be the number of a thing? `N/A`, `none` and the like are not."""
    return len(value) >= 4 and any(character.isdigit() for character in value)
