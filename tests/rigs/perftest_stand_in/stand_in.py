"""Stands in for one of perftest's programs: the name under which it runs says which.

A server listens on -p, a client connects, both exchange what they were asked for, the client moves bytes
through the connection (a read, out of it; -b, both ways), times them, and both print in perftest's layout.

STAND_IN_FAULT is one or several of, split by commas, each for all or with `:client`, `:server` or
`@device` behind it:
  fails       ends with 1 and a word on stderr, once both have met
  unheard     a server that ends before it listens
  busy        the first port is taken (the second works)
  hangs       never ends once both have met
  lingers     a server that does not end after its client has
  cpu         a line about the processor's frequency stands inside the table (stdout)
  old         no -U, no version, MB/sec instead of MiB/sec
  garbage     a table of other words
  short       half of the raw times
  slow        a tenth of the bandwidth, ten times the latency
STAND_IN_GBPS: print this bandwidth (Gb/s) instead of the one that was timed. STAND_IN_LOG: a file to
which the command line is appended.
"""

from __future__ import annotations

import json
import os
import pathlib
import socket
import sys
import time

LINE = "-" * 87
CPU = "Conflicting CPU frequency values detected: 1500.000000 != 3300.016000. CPU Frequency is not max."
OPTIONS = {
    "-d": "ib-dev", "-i": "ib-port", "-s": "size", "-n": "iters", "-x": "gid-index", "-S": "sl",
    "-m": "mtu", "-c": "connection", "-t": "tx-depth", "-q": "qp", "-p": "port",
}  # fmt: skip
FLAGS = {"-F": "CPU-freq", "-U": "report-unsorted", "-N": "noPeak", "-b": "bidirectional"}
LONG = ("tclass", "use_cuda", "report_gbits", "use_cuda_dmabuf", "out_json")
MOST_SENT = 1 << 22  # bytes that really move


class Asked:
    def __init__(self, argv: list[str]) -> None:
        self.name = os.path.basename(argv[0])
        _, self.verb, self.kind = self.name.split("_")
        self.values: dict[str, str] = {}
        self.server = ""
        words = iter(argv[1:])
        for word in words:
            if word in OPTIONS:
                self.values[OPTIONS[word]] = next(words)
            elif word in FLAGS:
                self.values[FLAGS[word]] = "yes"
            elif word.startswith("--"):
                name, _, value = word[2:].partition("=")
                if name not in LONG:
                    refuse(f"{self.name}: unrecognized option '{word}'")
                self.values[name] = value or "yes"
            elif word.startswith("-"):
                refuse(f"{self.name}: invalid option -- '{word[1:]}'")
            else:
                self.server = word
        if self.kind == "lat" and self.values.keys() & {"noPeak", "bidirectional", "report_gbits"}:
            refuse(f"{self.name}: invalid option")
        self.size, self.iterations = int(self["size"]), int(self["iters"])

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    def fault(self, name: str) -> bool:
        me = "client" if self.server else "server"
        for word in os.environ.get("STAND_IN_FAULT", "").split(","):
            what, _, device = word.partition("@")
            what, _, side = what.partition(":")
            if what == name and side in ("", me) and device in ("", self["ib-dev"]):
                return True
        return False


def refuse(words: str) -> None:
    print(words, file=sys.stderr)
    print(" Parser function exited with Error", file=sys.stderr)
    sys.exit(1)


def help_text(kind: str, old: bool) -> None:
    for short, name in {**OPTIONS, **FLAGS}.items():
        if name != "report-unsorted" or (kind == "lat" and not old):
            print(f"  {short}, --{name}=<value>  What it is for")
    for name in LONG:
        print(f"      --{name}=<value>  What it is for")


def listen(asked: Asked) -> socket.socket:
    if asked.fault("unheard"):
        print(" Unable to find the Infiniband/RoCE device", file=sys.stderr)
        sys.exit(1)
    marker = os.environ.get("STAND_IN_LOG", "") + ".busy"
    if asked.fault("busy") and not os.path.exists(marker):
        pathlib.Path(marker).touch()
        print(f"Couldn't listen to port {asked['port']}", file=sys.stderr)
        sys.exit(1)
    waiting = socket.socket()
    waiting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    waiting.bind(("", int(asked["port"])))
    waiting.listen(1)
    made, _ = waiting.accept()
    waiting.close()
    return made


def connect(asked: Asked) -> socket.socket:
    try:
        return socket.create_connection((asked.server, int(asked["port"])))
    except OSError:
        print(f"Couldn't connect to {asked.server}:{asked['port']}", file=sys.stderr)
        print(" Unable to init the socket connection", file=sys.stderr)
        sys.exit(1)


def move(stream: socket.socket, nbytes: int, out: bool) -> None:
    left = nbytes
    while left:
        if out:
            left -= stream.send(bytes(min(left, 65536)))
        else:
            got = len(stream.recv(min(left, 65536)))
            if not got:
                print(" Failed to exchange data between server and clients", file=sys.stderr)
                sys.exit(1)
            left -= got


def exchange(stream: socket.socket, word: dict[str, str]) -> dict[str, str]:
    stream.sendall(json.dumps(word).encode() + b"\n")
    said = b""
    while not said.endswith(b"\n"):
        more = stream.recv(1)
        if not more:
            print("ethernet_read_keys: Couldn't read remote address", file=sys.stderr)
            sys.exit(1)
        said += more
    return dict(json.loads(said))


def measured(asked: Asked, stream: socket.socket) -> tuple[list[float], float]:
    """(seconds of every iteration, seconds a message): latencies one by one, bandwidth as a whole."""
    client = bool(asked.server)
    slow = 10.0 if asked.fault("slow") else 1.0
    if asked.kind == "lat":
        times = []
        for _ in range(asked.iterations):
            before = time.perf_counter()
            for out in (client, not client):
                move(stream, 8, out)
            half = 1 if asked.verb == "read" else 2
            times.append((time.perf_counter() - before) / half * slow)
        return times, 0.0
    nbytes = min(MOST_SENT, asked.size * asked.iterations)
    before = time.perf_counter()
    outward = client == (asked.verb != "read")
    move(stream, nbytes, outward)
    if asked["bidirectional"]:
        move(stream, nbytes, not outward)
    move(stream, 1, not client)  # the client hears that all is there
    took = time.perf_counter() - before
    directions = 2 if asked["bidirectional"] else 1
    rate = float(os.environ.get("STAND_IN_GBPS", 0)) * 1e9 / 8 * directions
    overhead = 1e-8 if rate else 0.0  # no NIC has a message rate without end
    return [], slow * (overhead + asked.size / (rate or directions * nbytes / took))


def heading(asked: Asked) -> None:
    verb = {"write": "RDMA_Write", "read": "RDMA_Read", "send": "Send"}[asked.verb]
    kind = "Latency" if asked.kind == "lat" else "BW"
    both = "Bidirectional " if asked["bidirectional"] else ""
    layer = "Ethernet" if asked["gid-index"] else "IB"
    print(LINE)
    print(f"                    {verb} {both}{kind} Test")
    print(f" Dual-port       : OFF\t\tDevice         : {asked['ib-dev']}")
    print(f" Number of qps   : {asked['qp'] or 1}\t\tTransport type : IB")
    print(f" Connection type : {asked['connection'] or 'RC'}\t\tUsing SRQ      : OFF")
    print(" ibv_wr* API     : ON")
    print(f" TX depth        : {asked['tx-depth'] or 1}")
    print(f" Mtu             : {asked['mtu'] or 4096}[B]")
    print(f" Link type       : {layer}")
    if asked["gid-index"]:
        print(f" GID index       : {asked['gid-index']}")
    print(" Max inline data : 0[B]")
    print(" rdma_cm QPs\t : OFF")
    print(" Data ex. method : Ethernet")
    print(LINE)
    print(" local address: LID 0x01 QPN 0x008a PSN 0xfffb6d RKey 0x238f86 VAddr 0x007dd5a3cfd000")
    print(" remote address: LID 0x02 QPN 0x008b PSN 0xaa095c RKey 0x202129 VAddr 0x0074c6b5900000")
    print(LINE)


def report_bandwidth(asked: Asked, each: float) -> None:
    gbits = bool(asked["report_gbits"])
    unit, scale = ("Gb", 1e9 / 8) if gbits else ("MB" if asked.fault("old") else "MiB", 2**20)
    average, rate = asked.size / each / scale, 1e-6 / each
    print(
        f" #bytes     #iterations    BW peak[{unit}/sec]    BW average[{unit}/sec]   MsgRate[Mpps]"
    )
    if asked.fault("cpu"):
        print(CPU)
    if average < 0.1 and gbits:
        print(
            f" {asked.size:<7}    {asked.iterations}           0.000000            {average:<7.6f}"
            f"            {rate:<7.6f}"
        )
    else:
        print(
            f" {asked.size:<7}    {asked.iterations:<10}       {0:<7.2f}            {average:<7.2f}"
            f"\t\t     {rate:<7.6f}"
        )


def report_latency(asked: Asked, times: list[float]) -> None:
    micro = [t * 1e6 for t in times[1:]]
    ordered = sorted(micro)
    if asked["report-unsorted"]:
        print("#, usec")
        for k, value in enumerate(micro[: len(micro) // 2] if asked.fault("short") else micro, 1):
            print(f"{k}, {value:g}")
        print(LINE)
    print(
        " #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]"
        "    t_stdev[usec]   99% percentile[usec]   99.9% percentile[usec] "
    )
    if asked.fault("cpu"):
        print(CPU)
    average, last = sum(micro) / len(micro), len(micro) - 1
    print(
        f" {asked.size:<7} {asked.iterations}          {ordered[0]:<7.2f}        {ordered[-1]:<7.2f}      "
        f"{ordered[last // 2]:<7.2f}  \t       {average:<7.2f}     \t{0.5:<7.2f}\t\t"
        f"{ordered[int(last * 0.99)]:<7.2f} \t\t{ordered[int(last * 0.999)]:<7.2f}"
    )


def main() -> None:
    old = "old" in os.environ.get("STAND_IN_FAULT", "")
    if sys.argv[1:] == ["--help"]:
        help_text(sys.argv[0].rpartition("_")[2], old)
        sys.exit(1)
    if sys.argv[1:] == ["--version"]:
        print("no such option" if old else "Version: 6.20")
        sys.exit(1)
    asked = Asked(sys.argv)
    if log := os.environ.get("STAND_IN_LOG"):
        with open(log, "a") as file:
            file.write(" ".join([asked.name, *sys.argv[1:]]) + "\n")
    if asked["noPeak"]:
        print("WARNING: BW peak won't be measured in this run.")
    if not asked.server:
        print("\n************************************")
        print("* Waiting for client to connect... *")
        print("************************************")
    stream = connect(asked) if asked.server else listen(asked)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    shared = ("size", "iters", "mtu", "qp", "bidirectional")
    theirs = exchange(stream, {name: asked[name] for name in shared})
    if any(asked[name] != theirs[name] for name in shared):
        refuse(" Parameters mismatch between server and client")
    heading(asked)
    if asked.fault("fails"):
        print(" Completion with error at client", file=sys.stderr)
        print(" Failed status 12: wr_id 0 syndrom 0x81", file=sys.stderr)
        sys.exit(1)
    while asked.fault("hangs"):
        time.sleep(0.1)
    times, each = measured(asked, stream)
    if asked.fault("garbage"):
        print(" #bytes\tsomething\n 12 twelve \0\ufffd")
    elif asked.kind == "lat":
        report_latency(asked, times)
    else:
        report_bandwidth(asked, each)
    print(LINE)
    sys.stdout.flush()
    while asked.fault("lingers"):
        time.sleep(0.1)


main()
