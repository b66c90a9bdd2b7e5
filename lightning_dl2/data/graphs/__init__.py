"""Serve graphs to training: data modules, generators, splits, neighbour sampling."""
