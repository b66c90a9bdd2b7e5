"""Compose conf/ and the overrides of a command into a validated configuration."""
