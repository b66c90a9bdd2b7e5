"""Parts of a graph network that a user names by their dotted paths: layers, readouts, activations, norms."""
