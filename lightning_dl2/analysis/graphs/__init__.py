"""Analyse graph networks: spreading, attention, oversmoothing, and reach on paths."""
