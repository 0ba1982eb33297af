"""River sediment science: HLS granules in, suspended sediment concentration (SSC) per river reach out.

Plain Python over arrays and tables. Knows no orchestration, no networks, no settings.
"""
