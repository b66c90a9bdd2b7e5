"""Analyse what recurrent nets compute: external memories, counters, eigenvalues, state tracking."""
