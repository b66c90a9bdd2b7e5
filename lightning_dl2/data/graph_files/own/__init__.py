"""Read graphs of a user's own: which reader a path gets, and what all readers share."""
