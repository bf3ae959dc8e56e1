"""Plans as Slurm jobs: submission, nightly runs and drain advice."""
