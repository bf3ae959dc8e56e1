"""What railgauge tells people to type, it takes: in rules, in the audit's remedies, in messages."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import railgauge
import railgauge_reports
from railgauge.auditing.checks import checks_named
from railgauge.cli import LazyCommand, main
from railgauge.cli import railgauge as group
from railgauge_reports.lossless.catalogue import PROFILES, rules
from railgauge_reports.stored import read_run

SITE = {"host": "n1", "device": "mlx5_0", "port": "1", "netdev": "eth0", "priority": "3"}
SITE |= {"profile": "roce-lossless", "pfc": "0,0,0,1,0,0,0,0"}
#: What starts a command elsewhere: `ssh n1`, `srun -n 4`.
STARTERS = re.compile(r"^(ssh \S+|srun -n \d+|mpirun -n \d+) (?=railgauge )")
SAID = re.compile(r"(?<![\w./-])railgauge ([a-z]+)((?: [^\n`]*)?)")
COMMANDS = sorted(group.list_commands(click.Context(group)))


def loaded(name: str) -> click.Command:
    entry = group.get_command(click.Context(group), name)
    assert isinstance(entry, LazyCommand)
    return entry.load()


def options(name: str) -> set[str]:
    made = {"--help", "-h", "--version"}
    for parameter in loaded(name).params:
        made |= {*parameter.opts, *parameter.secondary_opts}
    return made


def of_rules() -> list[tuple[str, str]]:
    return [(rule.id, command) for rule in rules() for command in rule.next]


@pytest.mark.parametrize(
    ("rule", "command"),
    [pair for pair in of_rules() if "railgauge " in pair[1] or "{again}" in pair[1]],
)
def test_a_command_of_a_rule_is_taken_with_all_its_options(rule, command, start):
    run = read_run(start(sizes=(8,)).end())
    facts = SITE | {"again": run.again, "run": str(run.folder)}
    for name, value in facts.items():
        command = command.replace(f"{{{name}}}", value)
    first, name, *rest = shlex.split(STARTERS.sub("", command))
    assert first == "railgauge", rule
    if name == "run":
        assert main(["run", *rest, "--dry-run"]) == 0
    else:
        loaded(name).make_context(name, rest)


def test_every_place_in_a_rules_command_is_one_that_is_filled_in():
    known = {*SITE, "again", "run"}
    places = {place for _, command in of_rules() for place in re.findall(r"\{(\w+)\}", command)}
    assert places <= known


def test_what_is_typed_on_a_host_says_which():
    local = ("mlxlink", "ethtool", "mlnx_qos", "dcb", "ip", "railgauge counters", "echo", "dmesg")
    assert not [pair for pair in of_rules() if pair[1].startswith(local)]


def texts(node: ast.AST) -> Iterator[str]:
    """Strings of a module as they are written; what an f-string fills in stands as `1`."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.JoinedStr):
            yield "".join(
                str(value.value) if isinstance(value, ast.Constant) else "1"
                for value in part.values
            )
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
        else:
            yield from texts(part)


def of_sources() -> list[tuple[str, str, str]]:
    """(file, command, the rest of the line) of everything that reads like a command of ours."""
    found = []
    for package in (railgauge, railgauge_reports):
        (folder,) = package.__path__
        for file in sorted(Path(folder).rglob("*.py")):
            for text in texts(ast.parse(file.read_text())):
                told = [(name, rest) for name, rest in SAID.findall(text) if name in COMMANDS]
                found += [(file.name, name, rest) for name, rest in told]
    return found


def test_messages_and_help_name_only_options_that_exist():
    said = of_sources()
    assert len(said) > 100
    wrong = []
    for file, name, rest in said:
        ours = rest.split(" -- ")[0].split("railgauge ")[0]
        wrong += [
            f"{file}: railgauge {name} {option}"
            for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", ours)
            if option not in options(name)
        ]
    assert not wrong


def test_a_next_command_is_one_that_exists():
    for package in (railgauge, railgauge_reports):
        (folder,) = package.__path__
        for file in sorted(Path(folder).rglob("*.py")):
            for text in texts(ast.parse(file.read_text())):
                for name in re.findall(r"next: (?:see )?railgauge ([a-z]+)", text):
                    assert name in COMMANDS, f"{file}: railgauge {name}"


def test_remedies_of_checks_name_commands_that_exist():
    for check in checks_named(None):
        for name, rest in SAID.findall(check.remedy):
            assert name in COMMANDS
            assert {*re.findall(r"(?<!\S)--[a-z-]+", rest)} <= options(name), check.name


def test_every_profile_that_a_rule_names_is_one_to_ask_for():
    told = [command for _, command in of_rules()]
    named = {name for command in told for name in re.findall(r"--profile ([\w-]+)", command)}
    assert named <= set(PROFILES)


README = Path(__file__).parents[2] / "README.md"


def of_the_readme() -> list[str]:
    """The commands of ours in README.md's blocks, without comments and what they are piped into."""
    blocks = re.findall(r"```\n(.*?)```", README.read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    told = (SAID.search(re.sub(r"\s+#.*", "", line)) for line in lines)
    return [found[0].split("|")[0] for found in told if found and found[1] in COMMANDS]


@pytest.mark.parametrize("command", of_the_readme())
def test_a_command_of_the_readme_is_taken_with_all_its_options(command):
    _, name, *rest = shlex.split(command)
    loaded(name).make_context(name, rest)
