"""Keep the promise that a resumed run has the bits of the run that never stopped."""
