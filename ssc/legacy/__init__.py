"""Masks without a network: Fmask bits, OPERA's DSWx rules, terrain shadow, and the predecessor as it ran.

- S0, `as_ran`: the group's own pipeline, faults and slow loops included; for the benchmark alone.
- S1, `legacy-fmask`: the same idea done properly, Fmask bits and true cast shadow.
- S2, `legacy-dswx`: the rules of OPERA's Dynamic Surface Water Extent from HLS (PROTEUS 1.0.2).
"""
