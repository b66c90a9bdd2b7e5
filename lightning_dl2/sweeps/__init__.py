"""Train many runs with one command: grids, searches, and the launchers that start their jobs."""
