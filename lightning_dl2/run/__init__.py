"""Own the run directory: its names, its lock, its log."""
