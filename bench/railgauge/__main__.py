"""`python -m railgauge` is `railgauge`."""

import sys

from railgauge.cli import main

if __name__ == "__main__":
    sys.exit(main())
