"""Compute and draw the theory of recurrent and graph networks.

Each analysis has functions that compute, and `analyze(out, arguments)` for the command `analyze`, which writes figures
(PNG) and their numbers (CSV) into `out` and returns the table to print.
"""
