"""NCCL: its calls as data, the library that is loaded, its log and its variables."""
