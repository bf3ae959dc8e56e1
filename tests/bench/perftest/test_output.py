"""perftest's tables, in every layout that its versions print, and text that is none of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.perftest.output import parse

LINE = "-" * 87
BANNER = "*" * 36
CPU = "Conflicting CPU frequency values detected: 1200.000000 != 2900.500000. CPU Frequency is not max."
HEADING = f"""WARNING: BW peak won't be measured in this run.

{BANNER}
* Waiting for client to connect... *
{BANNER}
{LINE}
                    RDMA_Write Bidirectional BW Test
 Dual-port       : OFF\t\tDevice         : mlx5_3
 Number of qps   : 4\t\tTransport type : IB
 Connection type : RC\t\tUsing SRQ      : OFF
 ibv_wr* API     : ON
 TX depth        : 128
 Mtu             : 2048[B]
 Link type       : Ethernet
 GID index       : 3
 rdma_cm QPs\t : OFF
 Data ex. method : Ethernet
{LINE}
 local address: LID 0000 QPN 0x0051 PSN 0x1c0ffe RKey 0x1fff VAddr 0x007f0000000000
 GID: 00:00:00:00:00:00:00:00:00:00:255:255:10:00:00:01
 remote address: LID 0000 QPN 0x0052 PSN 0x2c0ffe RKey 0x2fff VAddr 0x007f0000000000
 GID: 00:00:00:00:00:00:00:00:00:00:255:255:10:00:00:02
{LINE}
"""
BW = " #bytes     #iterations    BW peak[{0}]    BW average[{0}]   MsgRate[Mpps]"
LATENCY = (
    " #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]"
    "    t_stdev[usec]   99% percentile[usec]   99.9% percentile[usec] "
)
LATENCY_ROW = (
    " 8       1001          1.85           9.12         1.91     \t       1.95     \t0.11   \t\t2.40"
    "   \t\t8.80   "
)


def table(*lines: str, heading: str = "") -> str:
    return "\n".join([heading, *lines, LINE]) + "\n"


def one(text: str):
    report = parse(text)
    (row,) = (*report.bandwidths, *report.latencies)
    return row


# bandwidth ------------------------------------------------------------------------------------------


def test_a_table_in_gigabits_gives_bytes_a_second_and_what_stands_above_it():
    text = table(
        BW.format("Gb/sec"),
        " 65536      5000             0.00               184.21             0.351353",
        heading=HEADING,
    )
    report = parse(text)
    assert (report.verb, report.bidirectional, report.mtu) == ("write", True, 2048)
    assert report.facts["Device"] == "mlx5_3"
    assert report.facts["Number of qps"] == "4"
    assert report.facts["Link type"] == "Ethernet"
    assert report.facts["Connection type"] == "RC"
    (row,) = report.bandwidths
    assert (row.nbytes, row.iterations, row.peak_GBps) == (65536, 5000, None)
    assert row.average_GBps == pytest.approx(184.21 / 8)
    assert row.messages_per_second == pytest.approx(351353)
    assert report.remarks == ("WARNING: BW peak won't be measured in this run.",)


@pytest.mark.parametrize("unit", ["MB/sec", "MiB/sec"])
def test_megabytes_are_binary_under_either_name(unit):
    row = one(
        table(
            BW.format(unit),
            " 1048576    1000             11712.50           11700.25\t\t     0.011700",
        )
    )
    assert row.average_GBps == pytest.approx(11700.25 * 2**20 / 1e9)
    assert row.peak_GBps == pytest.approx(11712.5 * 2**20 / 1e9)


@pytest.mark.parametrize(
    ("cells", "seconds"),
    [
        (
            "8          5000             0.00               0.18               2.812345",
            1 / 2.812345e6,
        ),
        (
            "8388608    512              0.00               196.08             0.002922",
            8388608 / 24.51e9,
        ),
    ],
)
def test_the_time_of_a_message_comes_from_the_figure_with_more_digits(cells, seconds):
    assert one(table(BW.format("Gb/sec"), f" {cells}")).seconds == pytest.approx(seconds, rel=1e-6)


def test_a_row_below_a_tenth_of_a_gigabit_has_another_layout():
    row = one(
        table(
            BW.format("Gb/sec"),
            " 2       5000           0.000000            0.048000            3.000000",
        )
    )
    assert row.average_GBps == pytest.approx(0.006)


def test_all_sizes_give_a_row_each():
    rows = [
        f" {2**k:<7}    1000             0.00               {k}.50               0.100000"
        for k in range(1, 24)
    ]
    report = parse(table(BW.format("Gb/sec"), *rows))
    assert [row.nbytes for row in report.bandwidths] == [2**k for k in range(1, 24)]


def test_more_columns_do_not_shift_the_ones_that_are_known():
    head = BW.format("Gb/sec")
    used = one(
        table(
            head + "    CPU_Util[%]",
            " 64         900              0.00               12.00              1.000000\t    3.25",
        )
    )
    qos = one(
        table(
            " #bytes    #sl      #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]",
            " 64    3           900           0.00            12.00                  1.000000",
        )
    )
    ports = one(
        table(
            head
            + "   BW Port1[Gb/sec]   MsgRate Port1[Mpps]   BW Port2[Gb/sec]   MsgRate Port2[Mpps]",
            " 64      900        0.00    12.00\t1.000000        6.0  0.5   6.0     0.5",
        )
    )
    assert {(r.iterations, r.average_GBps) for r in (used, qos, ports)} == {(900, 1.5)}


@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_warning_may_stand_anywhere_in_a_table(where):
    lines = [
        BW.format("Gb/sec"),
        " 65536      5000             0.00               98.02              0.186957",
    ]
    lines.insert(where, CPU)
    report = parse(table(*lines, heading=HEADING))
    assert report.bandwidths[0].average_GBps == pytest.approx(12.2525)
    assert CPU in report.remarks


# latency --------------------------------------------------------------------------------------------


def test_a_latency_row_in_seconds():
    row = one(table(LATENCY, LATENCY_ROW))
    assert (row.nbytes, row.iterations, row.raw) == (8, 1001, ())
    figures = (
        row.minimum,
        row.maximum,
        row.typical,
        row.average,
        row.deviation,
        row.p99,
        row.p99_9,
    )
    assert [round(figure * 1e6, 2) for figure in figures] == [
        1.85,
        9.12,
        1.91,
        1.95,
        0.11,
        2.4,
        8.8,
    ]


def test_of_a_duration_only_the_average_is_known():
    head = " #bytes        #iterations       t_avg[usec]    tps average"
    row = one(table(head, " 2       381234            2.62        190617.20"))
    assert row.average == pytest.approx(2.62e-6)
    assert (row.typical, row.p99) == (None, None)


def test_raw_times_are_those_of_the_row_below_them():
    raw = ["#, usec", "1, 3.5", "2, 1.9", CPU, "3, 1.85"]
    text = table(*raw, LINE, LATENCY, LATENCY_ROW)
    assert one(text).raw == pytest.approx((3.5e-6, 1.9e-6, 1.85e-6))
    twice = parse(text + table(LATENCY_ROW.replace(" 8 ", " 16 ", 1)))
    assert [len(row.raw) for row in twice.latencies] == [3, 0]


def test_a_sorted_list_after_the_raw_one_is_kept_apart():
    lists = ["#, usec", "1, 3.5", "2, 1.9", "#, usec", "1, 1.9", "2, 3.5"]
    row = one(table(*lists, LINE, LATENCY, LATENCY_ROW))
    assert row.raw == pytest.approx((3.5e-6, 1.9e-6))
    assert row.ordered == pytest.approx((1.9e-6, 3.5e-6))


def test_cycles_are_no_time():
    report = parse(table("#, cycles", "1, 4210", LINE, LATENCY, LATENCY_ROW))
    assert report.latencies[0].raw == ()
    assert "#, cycles" in report.remarks


@pytest.mark.parametrize(
    ("title", "verb"),
    [
        ("RDMA_Read Latency Test", "read"),
        ("Send BW Test", "send"),
        ("RDMA_WriteImm BW Test", "writeimm"),
        ("Atomic FETCH_AND_ADD Latency Test", "atomic"),
    ],
)
def test_the_title_names_the_verb(title, verb):
    report = parse(f"                    {title}\n")
    assert (report.verb, report.bidirectional) == (verb, False)


# --out_json -----------------------------------------------------------------------------------------


def test_a_json_document_is_read_and_its_unit_found_out():
    text = """{
"test_info": {
"test": "RDMA_Write_Bidirectional_BW_Test",
"Dual_port": "OFF",
"Device": "mlx5_3",
"Mtu": 4096
},
"results": {
"MsgSize": 65536,
"n_iterations": 5000,
"BW_peak": 0.00,
"BW_average": 98.02,
"MsgRate": 0.186957
},
}
"""
    report = parse(text)
    assert (report.verb, report.bidirectional, report.mtu) == ("write", True, 4096)
    assert report.bandwidths[0].average_GBps == pytest.approx(12.2525)
    binary = parse(text.replace("98.02", "11684.81"))
    assert binary.bandwidths[0].average_GBps == pytest.approx(11684.81 * 2**20 / 1e9)


def test_a_json_latency_is_read():
    report = parse(
        '{"test_info": {"test": "Send_Latency_Test"}, "results": {"MsgSize": 2, "n_iterations": 1000,'
        ' "t_min": 1.5, "t_max": 9.25, "t_typical": 1.62, "t_avg": 1.7, "t_stdev": 0.1,'
        ' "percentile_99": 2.5, "percentile_99.9": 7.5}}'
    )
    (row,) = report.latencies
    assert (row.typical, row.p99_9) == (pytest.approx(1.62e-6), pytest.approx(7.5e-6))


# what is none of perftest's -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        " 65536 5000 0.00 nan 0.1",
        " 65536 5000 0.00 -1.0 0.1",
        " 65536 5000 0.00 inf inf",
        " 65536 5000 0.00 0.00 0.000000",
        " 65536 5000 0.00 98.02",
        " 6553x 5000 0.00 98.02 0.18",
        f" {'9' * 5000} 5000 0.00 98.02 0.18",
    ],
)
def test_a_row_that_cannot_be_is_none(row):
    report = parse(table(BW.format("Gb/sec"), row))
    assert report.bandwidths == ()
    assert report.remarks


def test_a_unit_that_is_unknown_gives_no_bandwidth():
    assert parse(table(BW.format("furlong"), " 65536 5000 0.00 98.02 0.18")).bandwidths == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{" * 100_000,
        '{"results": ' + "[" * 100_000,
        '{"results": {"MsgSize": 1e308, "n_iterations": 1, "BW_average": 1e-308, "MsgRate": 1e308}}',
        '{"results": {"MsgSize": 65536, "n_iterations": 1, "BW_average": "x", "MsgRate": null}}',
        "\0\ufffd" * 1000,
        "a : " * 100_000,
        "Send " * 100_000 + "BW Test",
        "#, usec\n" * 1000 + "1, 1e999\n",
    ],
)
def test_text_of_another_sort_gives_no_rows(text):
    report = parse(text)
    assert (report.bandwidths, report.latencies) == ((), ())


LINES = st.sampled_from(
    [
        *HEADING.splitlines(),
        BW.format("Gb/sec"),
        LATENCY,
        LATENCY_ROW,
        "#, usec",
        "1, 2.5",
        " 8 9 0 1.5 2.5",
        CPU,
        "{",
    ]
)


@given(st.lists(LINES | st.text(max_size=30), max_size=30).map("\n".join))
def test_any_mixture_of_lines_is_read_without_an_error(text):
    report = parse(text)
    assert all(row.seconds > 0 for row in report.bandwidths)
