"""Batch scripts that ship with railgauge: `railgauge slurm plan --template NAME`."""
