"""Write metrics to metrics.csv, Weights & Biases and TensorBoard."""
