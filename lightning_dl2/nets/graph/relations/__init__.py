"""Layers for graphs whose edges are of several relations."""
