"""From the journal of a run to frames, judgement and files; imports no MPI and no CUDA."""
