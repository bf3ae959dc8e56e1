"""How a cluster's NICs are joined, one file a topology: the file's name is `fabric.topology`."""
