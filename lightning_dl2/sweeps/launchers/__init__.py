"""Start the jobs of a sweep on this machine, on SLURM or on a Ray cluster."""
