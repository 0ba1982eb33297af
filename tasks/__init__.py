"""Prefect tasks: thin wrappers that give the science retries, limits and a place in a flow."""
