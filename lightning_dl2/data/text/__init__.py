"""Read texts as windows of tokens."""
