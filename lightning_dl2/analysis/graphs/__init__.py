"""Analyse graph networks: reach, spreading, oversmoothing."""
