"""Data modules of graphs, and their generators, splits and neighbour sampling."""
