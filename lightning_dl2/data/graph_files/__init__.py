"""Read sets of graphs from files: the field's formats and a user's own CSV."""
