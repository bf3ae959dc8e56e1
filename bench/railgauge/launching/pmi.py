"""torchrun starts processes but brings no process manager of MPI: rank 0's process brings one.

MPICH's ranks find each other through PMI-1, a line protocol (`cmd=put kvsname=... key=... value=...`)
on a connected socket whose descriptor is in PMI_FD: P. Balaji et al., "PMI: A Scalable Parallel
Process-Management Interface for Extreme-Scale Systems", EuroMPI 2010; the words are those of
MPICH's own hydra. Rank 0 starts a server process on the first free port after MASTER_PORT (which
torchrun's own store holds); every rank connects, is greeted when all have come, and hands the
socket to MPI_Init. The server imports the standard library alone and ends with its last rank.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Mapping

from railgauge.errors import EXIT_HANG, HangError, NotMeasuredError, UsageError
from railgauge.launching.launchers import embedded_library, python_module, started

PORTS = 32  # after MASTER_PORT, tried in turn
RETRY_SECONDS = 0.2
GREETING_SECONDS = 1.0  # within which a server of ours answers, even if only "wait"
_NAME = "railgauge"
_JOB_VARIABLES = (
    *("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE"),
    *("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"),
)


def needed(environ: Mapping[str, str] = os.environ) -> bool:
    """Has torchrun (or what sets its variables) started this process, without any MPI launcher?"""
    found = started(environ)
    return found is not None and found.rank_variable == "RANK"


def end_job(exit_code: int, environ: Mapping[str, str] = os.environ) -> None:
    """Have hydra, where it has started this process, end all ranks of the job.

    Of a rank that exits by itself hydra thinks nothing bad: it waits for the others, for ever if
    one of them is stopped. This is MPI_Abort without MPI, for a thread beside one that hangs in it.
    """
    number = environ.get("PMI_FD", "")
    if "PMI_HOSTNAME" in environ and number.isdecimal():  # other servers may speak PMI-2
        with contextlib.suppress(OSError):
            os.write(int(number), f"cmd=abort exitcode={exit_code}\n".encode())


def job_key(environ: Mapping[str, str]) -> str:
    """The same word on all ranks of one start of one job, another one elsewhere."""
    text = "\n".join(environ.get(name, "") for name in _JOB_VARIABLES)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def ports(environ: Mapping[str, str]) -> range:
    """The ports that rank 0 and the others try; raises UsageError where none can follow."""
    text = environ["MASTER_PORT"]
    first = int(text) + 1 if text.isdecimal() else 0
    if not 1 < first < 1 << 16:
        raise UsageError(
            f"MASTER_PORT={text}: the ranks meet on a port after this one.\n"
            f"  expected: a number from 1 to {(1 << 16) - 2}\n"
            "  next: torchrun --master-port 29500"
        )
    return range(first, min(first + PORTS, 1 << 16))


def meet(timeout: float) -> None:
    """Put a connection to the job's server into PMI_FD, so that MPI_Init finds the other ranks.

    Raises UsageError where the MPI library is not MPICH, HangError for ranks that do not arrive.
    """
    found = started()
    assert found is not None
    _check_library()
    if found.rank == 0:
        _start_server(found.size, timeout)
    connection = _connect(found.rank, found.size, timeout)
    os.set_inheritable(connection.fileno(), True)
    os.environ.pop("PMIX_NAMESPACE", None)  # of a step around torchrun: MPICH refuses two managers
    os.environ["PMI_RANK"], os.environ["PMI_SIZE"] = str(found.rank), str(found.size)
    os.environ["PMI_FD"] = str(connection.detach())


def _check_library() -> None:
    if embedded_library() == "openmpi":
        raise UsageError(
            "torchrun cannot start ranks of Open MPI: it has no PMIx server for them.\n"
            "  expected: MPICH in this environment, or a launcher that knows Open MPI\n"
            "  next: mpirun -n N railgauge run ..., or another environment with: pip install mpich"
        )


# a rank ------------------------------------------------------------------------------------------


def _connect(rank: int, size: int, timeout: float) -> socket.socket:
    """A socket that the server has greeted: all ranks are there."""
    deadline = time.monotonic() + timeout
    host, key = os.environ["MASTER_ADDR"], job_key(os.environ)
    while time.monotonic() < deadline:
        for port in ports(os.environ):
            connection = _offer(host, port, f"{_NAME} {key} {rank} {size}\n")
            if connection is not None:
                return _wait(connection, rank, timeout)
        time.sleep(RETRY_SECONDS)
    message = (
        f"no start within {timeout:g} s: rank 0 did not arrive: nothing answers at {host}, ports"
        f" {ports(os.environ)[0]}-{ports(os.environ)[-1]}.\n"
        "  expected: rank 0 on MASTER_ADDR, and these ports open between the hosts\n"
        "  next: look at that host, or raise --timeout"
    )
    if rank == 1:  # speaks for all: rank 0 is not there
        print(f"railgauge: error: {message}", file=sys.stderr, flush=True)
    raise HangError(message)


def _offer(host: str, port: int, hello: str) -> socket.socket | None:
    """The connection if a server of this job listens there."""
    connection = None
    try:
        connection = socket.create_connection((host, port), GREETING_SECONDS)
        connection.sendall(hello.encode())
        if _line(connection) == "wait":
            return connection
    except OSError:
        pass
    if connection is not None:
        connection.close()
    return None


def _line(connection: socket.socket) -> str:
    """One line, read byte by byte: what follows it is MPI's."""
    made = b""
    while not made.endswith(b"\n") and len(made) < 1 << 12:
        byte = connection.recv(1)
        if not byte:
            break
        made += byte
    return made.decode(errors="replace").strip()


def _wait(connection: socket.socket, rank: int, timeout: float) -> socket.socket:
    connection.settimeout(timeout + 5)
    try:
        said = _line(connection)
    except OSError as error:
        said = str(error)
    if said != "go":
        connection.close()
        raise HangError(f"rank {rank}: {said or 'the server of rank 0 ended'}")
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


# the server --------------------------------------------------------------------------------------


def _start_server(size: int, timeout: float) -> None:
    """A process of its own: MPI_Init of this one must not wait for itself."""
    for port in ports(os.environ):
        with contextlib.suppress(OSError):
            listening = socket.create_server(("", port), backlog=min(size, 4096))
            break
    else:
        raise NotMeasuredError(
            f"no free port among {PORTS} after MASTER_PORT={os.environ['MASTER_PORT']}.\n"
            "  next: torchrun --master-port ANOTHER_PORT"
        )
    with listening:
        argv = python_module("railgauge.launching.pmi", str(listening.fileno()), str(size))
        argv += [str(timeout), job_key(os.environ)]
        subprocess.Popen(argv, pass_fds=[listening.fileno()], stdin=subprocess.DEVNULL)


class Server:
    """Greets `size` ranks on a listening socket, then answers their PMI-1 lines."""

    def __init__(self, listening: socket.socket, size: int, timeout: float, key: str) -> None:
        self._listening, self._size, self._key = listening, size, key
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._selector = selectors.DefaultSelector()
        self._selector.register(listening, selectors.EVENT_READ)
        self._ranks: dict[socket.socket, int] = {}
        self._rests: dict[socket.socket, bytes] = {}
        self._values: dict[str, str] = {}
        self._at_barrier: set[socket.socket] = set()
        # MPICH names its shared memory after this: no two jobs of a host may have the same
        self._space = f"railgauge_{key}_{secrets.token_hex(8)}"
        self._parent = os.getppid()

    def serve(self) -> int:
        """Until the last rank has gone; EXIT_HANG where some did not come."""
        while len(self._ranks) < self._size:
            if time.monotonic() > self._deadline or os.getppid() != self._parent:
                return self._missing()
            self._step()
        self._selector.unregister(self._listening)
        self._listening.close()
        for connection in self._ranks:
            self._say(connection, "go")
        while self._ranks:
            self._step()
        return 0

    def _missing(self) -> int:
        missing = sorted(set(range(self._size)) - set(self._ranks.values()))
        named = ", ".join(map(str, missing[:16])) + (", ..." if len(missing) > 16 else "")
        message = (
            f"no start within {self._timeout:g} s: {len(missing)} of {self._size} ranks did not"
            f" arrive: {named}"
        )
        for connection in self._ranks:
            with contextlib.suppress(OSError):
                connection.sendall(f"{message}\n".encode())
        return EXIT_HANG

    def _step(self) -> None:
        for ready, _ in self._selector.select(RETRY_SECONDS):
            connection = ready.fileobj
            assert isinstance(connection, socket.socket)
            if connection is self._listening:
                self._accept()
                continue
            try:
                data = connection.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                self._drop(connection)
                continue
            *lines, self._rests[connection] = (self._rests[connection] + data).split(b"\n")
            for line in lines:
                self._take(connection, line.decode(errors="replace"))

    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        connection.settimeout(GREETING_SECONDS)
        with contextlib.suppress(OSError, ValueError):
            name, key, rank, size = _line(connection).split()
            mine = (name, key, int(size)) == (_NAME, self._key, self._size)
            if mine and int(rank) not in self._ranks.values():
                connection.sendall(b"wait\n")
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ranks[connection], self._rests[connection] = int(rank), b""
                self._selector.register(connection, selectors.EVENT_READ)
                return
        connection.close()

    def _drop(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._ranks[connection], self._rests[connection]
        connection.close()

    def _take(self, connection: socket.socket, line: str) -> None:
        """Answer one line of PMI-1."""
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        command = words.get("cmd", "")
        if command == "barrier_in":
            self._at_barrier.add(connection)
            if len(self._at_barrier) == self._size:
                for waiting in self._at_barrier:
                    self._say(waiting, "cmd=barrier_out rc=0")
                self._at_barrier.clear()
        elif command == "abort":
            for other in [c for c in self._ranks if c is not connection]:
                self._drop(other)
        else:
            self._say(connection, self._answer(command, words))

    def _answer(self, command: str, words: Mapping[str, str]) -> str:
        key = words.get("key", "")
        if command == "put":
            self._values[key] = words.get("value", "")
        elif command == "get" and key not in self._values:
            return f"cmd=get_result rc=-1 msg=key_{key}_not_found value=unknown"
        answers = {
            "init": "response_to_init rc=0 pmi_version=1 pmi_subversion=1",
            "get_maxes": "maxes rc=0 kvsname_max=256 keylen_max=64 vallen_max=1024",
            "get_appnum": "appnum rc=0 appnum=0",
            "get_my_kvsname": f"my_kvsname rc=0 kvsname={self._space}",
            "get_universe_size": f"universe_size rc=0 size={self._size}",
            "put": "put_result rc=0 msg=success",
            "get": f"get_result rc=0 msg=success value={self._values.get(key, '')}",
            "finalize": "finalize_ack rc=0",
        }
        return f"cmd={answers.get(command, f'{command}_result rc=-1 msg=not_supported')}"

    def _say(self, connection: socket.socket, line: str) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(f"{line}\n".encode())


def main() -> int:
    """`python -m railgauge.launching.pmi DESCRIPTOR SIZE TIMEOUT KEY`: the server process."""
    descriptor, size, timeout, key = sys.argv[1:]
    listening = socket.socket(fileno=int(descriptor))
    return Server(listening, int(size), float(timeout), key).serve()


if __name__ == "__main__":
    sys.exit(main())
