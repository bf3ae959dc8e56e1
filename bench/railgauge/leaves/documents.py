"""Leaves as documents: Slurm's topology.yaml (and `scontrol show topoconf`), or TOML.

topology.yaml(5), Slurm 25.05 on: a list of topologies, each a `tree` of switches, a list of `blocks`, or
something without leaves. YAML is read as text, without types: a switch called 012 or `on` is called so.
Aliases are refused, as Slurm refuses them (src/plugins/serializer/yaml).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import msgspec

from railgauge.errors import UsageError, unknown
from railgauge.leaves.gathered import Gathered

#: Of YAML, whose parser is slow: Slurm's files have two lines a switch.
MOST_CHARACTERS = 4 << 20
EXAMPLE = "topology.yaml(5): `- topology: NAME`, with `tree: switches:` or `block: blocks:`"
#: Kind of a topology -> where its list of leaves is, and how their names are called.
_KINDS = {"tree": ("switches", "switch"), "block": ("blocks", "block")}


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A TOML file: `[leaves]` with a list of hosts each, `leaf0 = "node[0-3]"` or one of words."""

    leaves: dict[str, str | list[str]]


def read_toml(text: str, source: str, found: Gathered) -> None:
    """Put the leaves of a TOML file into `found`; raises UsageError."""
    try:
        made = msgspec.toml.decode(text, type=Site)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(
            f'{source}: {error}.\n  expected: TOML with [leaves] and lines like leaf0 = "node[0-3]"'
        ) from None
    for name, hosts in made.leaves.items():
        text = hosts if isinstance(hosts, str) else " ".join(hosts)
        found.add(name, text, f"{source}, leaf {name[:80]}")


# YAML -------------------------------------------------------------------------------------------------


def read_yaml(text: str, source: str, wanted: str, found: Gathered) -> None:
    """Put the leaves of one topology into `found`: of the `wanted` name, "": Slurm's default.

    That is the first with `cluster_default: true`, else the first. Raises UsageError.
    """
    topology = _chosen(_parsed(text, source), source, wanted)
    where = f"{source}, topology {topology.get('topology', '')!s:.80}"
    kind = next((kind for kind in _KINDS if kind in topology), None)
    if kind is None:
        kinds = ", ".join(str(key)[:40] for key in topology if key not in ("topology", _DEFAULT))
        raise UsageError(
            f"{where}: {kinds or 'nothing'} has no leaves.\n  expected: a tree or blocks\n"
            "  next: FILE:NAME names another topology of the file"
        )
    under, name = _KINDS[kind]
    for entry in _listed(topology[kind], under, where):
        called = entry.get(name)
        if not isinstance(called, str) or not called:
            raise UsageError(f"{where}: one of the {under} has no name.\n  expected: {EXAMPLE}")
        if not entry.get("children"):
            found.add(
                called, _hosts(entry.get("nodes", ""), called, where), f"{where}, {called:.80}"
            )


_DEFAULT = "cluster_default"


def _parsed(text: str, source: str) -> Any:
    import yaml  # of no use to a run without such a file

    class Plain(yaml.BaseLoader):
        """Scalars are text; an alias is an error."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                raise yaml.MarkedYAMLError(
                    problem="an alias, which Slurm does not read", problem_mark=mark
                )
            return super().compose_node(parent, index)

    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"{source}: YAML of more than {MOST_CHARACTERS} characters")
    try:
        return yaml.load(text, Loader=Plain)
    except yaml.MarkedYAMLError as error:
        at = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{source}{at}: {error.problem}.\n  expected: {EXAMPLE}") from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{source}: no YAML ({said[:120]}).\n  expected: {EXAMPLE}") from None


def _is_mapping(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, dict)


def _chosen(made: Any, source: str, wanted: str) -> Mapping[str, Any]:
    topologies = made if isinstance(made, list) else []
    if not topologies or not all(_is_mapping(entry) for entry in topologies):
        raise UsageError(f"{source}: no list of topologies.\n  expected: {EXAMPLE}")
    if wanted:
        names = [str(entry.get("topology", "")) for entry in topologies]
        if wanted not in names:
            raise unknown("topology", wanted, names, f"--leaves with a name that {source} has")
        return topologies[names.index(wanted)]  # type: ignore[no-any-return]
    defaults = [e for e in topologies if str(e.get(_DEFAULT, "")).lower() in ("true", "yes", "on")]
    return (defaults or topologies)[0]  # type: ignore[no-any-return]


def _listed(made: Any, under: str, where: str) -> Iterator[Mapping[str, Any]]:
    entries = made.get(under) if _is_mapping(made) else None
    if not isinstance(entries, list) or not all(_is_mapping(entry) for entry in entries):
        raise UsageError(f"{where}: {under} is no list of leaves.\n  expected: {EXAMPLE}")
    yield from entries


def _hosts(nodes: Any, name: str, where: str) -> str:
    words = nodes if isinstance(nodes, list) else [nodes]
    if not all(isinstance(word, str) for word in words):
        raise UsageError(
            f"{where}: nodes of {name[:80]} are no list of hosts.\n  expected: nodes: node[01-04]"
        )
    return " ".join(words)
