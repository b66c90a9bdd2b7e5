"""Cells that read and write a memory beside their state, by actions that they choose."""
