"""Settings of a run, read by flows only."""
