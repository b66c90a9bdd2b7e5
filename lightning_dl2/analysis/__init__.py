"""The theory of recurrent and graph networks, to be run, looked at and tested.

Each module has functions that compute, and `analyze(out, values)`, which the command calls: it writes figures and the
numbers behind them into `out`, and returns the table to print.
"""
