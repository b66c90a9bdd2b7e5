"""Find many runs in trees of directories, group them by their choices, and show them as tables and a page."""
