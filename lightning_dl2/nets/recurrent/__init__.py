"""Recurrent cells, layers and networks in torch alone."""
