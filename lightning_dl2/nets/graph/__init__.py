"""Graph layers and networks over `lightning_dl2.graphs`."""
