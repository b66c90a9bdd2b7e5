"""Read graphs of other libraries' files. Each reader gives what the file holds; `build.py` makes the sets of it."""
