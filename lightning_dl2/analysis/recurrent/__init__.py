"""Analyse recurrent networks: gradients by hand, gates, memory, parameter counts."""
