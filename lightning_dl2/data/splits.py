"""Names of the splits of every data set, in the order of the data."""

SPLITS = ("train", "val", "test")
