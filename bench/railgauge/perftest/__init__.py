"""perftest's programs (ib_write_bw and its kin) as a backend of railgauge."""
