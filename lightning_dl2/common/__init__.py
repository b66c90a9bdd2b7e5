"""Tools that every room uses: errors, arguments, files, figures. Imports neither torch nor Hydra."""
