"""Sources of counters, one file each; the file name is the name of the source.

Each has `read(roots)`, which yields a `Reading` for every place that it finds and raises OSError where
the source as a whole cannot be read, and `kind(name, facts)`, which says how a counter counts.
"""
