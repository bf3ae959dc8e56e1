"""Ways to move data, one file each; the file name is the name of the backend."""
