"""What is measured and how, and the command line; start reading at `run`."""

__version__ = "0.1.0"
