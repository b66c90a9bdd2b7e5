"""Measure which pairs of graphs a net tells apart, on BREC."""
