"""How long a shell waits for the command line itself."""

import subprocess
import sys


def test_help_of_the_command_line(benchmark):
    benchmark(
        subprocess.run,
        [sys.executable, "-m", "railgauge", "--help"],
        check=True,
        capture_output=True,
    )
