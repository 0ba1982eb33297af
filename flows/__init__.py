"""Prefect flows and the `ssc` command line."""
