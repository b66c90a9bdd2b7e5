"""Published sets of sequences: read as they are, or drawn anew."""
