"""The catalogue of rules as data, from `rules.toml`, and the profiles that they are judged under."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Literal

import msgspec

from railgauge.errors import unknown

Stage = Literal["link", "configuration", "congestion", "transport"]
Scope = Literal["port", "fabric", "host", "victim", "sockets", "device"]
#: A failure of the run, a warning, something to know, and the word that all is as it should be.
Severity = Literal["F", "W", "I", "P"]
STAGES: tuple[Stage, ...] = ("link", "configuration", "congestion", "transport")
PROFILES = {
    "ib": "InfiniBand: credits, nothing may be lost",
    "roce-lossless": "RoCE with PFC: pauses are allowed, losses are not",
    "roce-ecn-only": "RoCE with ECN and without PFC: goodput judges, marks must come in time",
    "roce-lossy": "RoCE that recovers from losses by itself: goodput judges",
    "efa": "Elastic Fabric Adapter: SRD over many paths, repaired below the application",
}


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A threshold and where it comes from."""

    value: float
    source: str


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One signature; the head of `rules.toml` says what the fields mean."""

    id: str
    name: str
    stage: Stage
    scope: Scope
    predicate: str
    needs: tuple[str, ...]
    severity: dict[str, Severity]
    diagnosis: str
    blame: str
    remedy: str
    next: tuple[str, ...]
    source: str
    patterns: tuple[str, ...] = ()
    limits: dict[str, Limit] = {}
    explains: tuple[str, ...] = ()
    setting: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    groups: dict[str, tuple[str, ...]]
    rule: tuple[Rule, ...]


@functools.cache
def _file() -> _File:
    raw = resources.files(__package__).joinpath("rules.toml").read_bytes()
    return msgspec.toml.decode(raw, type=_File)


@functools.cache
def rules() -> tuple[Rule, ...]:
    """All rules in the order in which they are asked: stage by stage, then as they stand in the file."""
    return tuple(sorted(_file().rule, key=lambda rule: STAGES.index(rule.stage)))


@functools.cache
def rule_named(name: str) -> Rule:
    """The rule of that id; raises KeyError."""
    return {rule.id: rule for rule in rules()}[name]


@functools.cache
def alternatives(need: str) -> tuple[str, ...]:
    """What satisfies a need, any one of them: `a|b`, with the names of groups replaced."""
    groups = _file().groups
    return tuple(name for word in need.split("|") for name in groups.get(word, (word,)))


def check_profile(name: str) -> str:
    """The name itself; raises UsageError with the closest one if there is no such profile."""
    if name not in PROFILES:
        raise unknown("profile", name, PROFILES, "railgauge report --help")
    return name
