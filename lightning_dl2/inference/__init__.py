"""Use a trained run: evaluate, generate, predict."""
