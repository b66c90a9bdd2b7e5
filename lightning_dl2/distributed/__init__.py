"""Start, connect and restart the ranks of a run."""
