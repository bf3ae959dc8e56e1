"""A modelled cluster on which plans run without one: its links, how flows share them, its faults."""
