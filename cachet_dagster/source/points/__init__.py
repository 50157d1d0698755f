"""Points of metrics: reading on from where the destination ends, as Arrow."""
