"""MPI: the control plane of every run, and one of the libraries that are measured."""
