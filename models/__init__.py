"""Networks that turn reflectance into masks."""
