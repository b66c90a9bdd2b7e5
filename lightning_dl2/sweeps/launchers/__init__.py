"""Start the jobs of a sweep: on this machine, on SLURM, on a Ray cluster."""
