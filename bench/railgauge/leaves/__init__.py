"""Leaf switches and their hosts, as `--leaves` is told: `source` asks what they come from, and begins.

`lines` reads Slurm's topology.conf, what `scontrol show topology` prints, and plain lines; `documents`
topology.yaml and TOML; `controller` asks Slurm; `gathered` keeps every host on one leaf.
"""
