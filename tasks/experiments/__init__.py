"""Experiments: a question, networks trained to answer it, tables and figures with the answer."""
