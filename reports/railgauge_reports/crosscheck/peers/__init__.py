"""Benchmarks that `railgauge crosscheck` knows: one module each, see `pairing.Peer`."""
