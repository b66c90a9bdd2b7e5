"""Recognise drawn digits: the data, the net, a callback and a recurrent cell of this project."""
