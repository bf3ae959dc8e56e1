"""The direction of imports, read from the source: kernels <- bench <- reports <- slurm."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FLOORS = ("railgauge_kernels", "railgauge", "railgauge_reports", "railgauge_slurm")
ROOTS = ("kernels", "bench", "reports", "slurm")
SOURCES = {
    ".".join(path.relative_to(REPOSITORY / root).with_suffix("").parts).removesuffix(
        ".__init__"
    ): path
    for root, package in zip(ROOTS, FLOORS, strict=True)
    for path in sorted((REPOSITORY / root / package).rglob("*.py"))
}


def statements(tree: ast.Module, deferred: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements of a module; with `deferred` also those inside functions."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif deferred or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting.extend(ast.iter_child_nodes(node))


def imported(module: str, deferred: bool = True) -> set[str]:
    """Everything that `module` imports, absolute: ours as modules, others by full name."""
    path = SOURCES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in statements(ast.parse(path.read_text()), deferred):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
            continue
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *([base] if base else [])])
        names = {f"{base}.{alias.name}" for alias in node.names}
        submodules = names & SOURCES.keys()
        # `from package import module` needs the module; a name of the package needs the package
        found |= submodules if submodules == names else submodules | {base}
    return found


IMPORTS = {module: imported(module) for module in SOURCES}
AT_IMPORT = {module: imported(module, deferred=False) for module in SOURCES}


def top(name: str) -> str:
    return name.partition(".")[0]


def importers(*libraries: str) -> set[str]:
    return {m for m, names in IMPORTS.items() if any(top(n) in libraries for n in names)}


def loaded_with(module: str) -> set[str]:
    """The top-level names that importing `module` loads, followed through our own modules."""
    seen: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        parent = name.rpartition(".")[0]
        waiting |= ({parent} - {""} | AT_IMPORT.get(name, set())) - seen
    return {top(name) for name in seen}


def test_every_floor_was_read():
    assert {top(module) for module in SOURCES} == set(FLOORS)
    assert "railgauge.errors" in IMPORTS["railgauge.cli"]


@pytest.mark.parametrize("module", SOURCES)
def test_no_module_imports_a_floor_above(module):
    above = FLOORS[FLOORS.index(top(module)) + 1 :]
    assert not {name for name in IMPORTS[module] if top(name) in above}


def test_no_file_imports_in_a_circle():
    graph = {module: names & SOURCES.keys() for module, names in IMPORTS.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' <- '.join(error.args[1])}")


def test_mpi4py_is_imported_in_exactly_one_module():
    assert importers("mpi4py") == {"railgauge.mpi.library"}


def test_pandas_is_imported_only_in_reports():
    assert {top(module) for module in importers("pandas")} <= {"railgauge_reports"}


@pytest.mark.parametrize(
    ("library", "module"),
    [
        ("cuda", "railgauge.gpus.cuda"),
        ("pynvml", "railgauge.hardware.nvml"),
        ("torch", "railgauge.torch_programs"),
        ("nccl", "railgauge.nccl.library"),
        ("cupy", None),
    ],
)
def test_a_device_library_is_imported_only_by_kernels_and_one_module(library, module):
    bench = {name for name in importers(library) if top(name) != "railgauge_kernels"}
    assert bench <= {module}


@pytest.mark.parametrize("module", [m for m in SOURCES if top(m) in FLOORS[2:]])
def test_reports_and_slurm_load_neither_mpi_nor_cuda(module):
    foreign = loaded_with(module) & {"mpi4py", "cupy", "nccl", "torch"}
    assert not foreign


@pytest.mark.parametrize("module", [m for m in SOURCES if top(m) in FLOORS[:2]])
def test_no_rank_loads_a_library_of_the_reports(module):
    unused = loaded_with(module) & {"altair", "jinja2", "matplotlib", "pandas", "pyarrow"}
    assert not unused
