"""Provide the tools that every room uses: errors, arguments, files, figures; import neither torch nor Hydra."""
