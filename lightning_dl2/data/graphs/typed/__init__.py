"""Graphs whose nodes and edges are of several types."""
