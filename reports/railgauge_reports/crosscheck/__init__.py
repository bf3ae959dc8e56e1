"""railgauge beside another benchmark: same ranks, same statistic, one interleaved run."""
