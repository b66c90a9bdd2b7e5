"""Train many runs by one command: grids, searches, and where their jobs run."""
