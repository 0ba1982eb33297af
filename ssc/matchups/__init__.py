"""Water samples that teach and test an estimator: where they come from, and what is made of them.

Readers (`read_aquamatch`, `read_plain`, ...) give a `Harmonised`: a sample table in mg/L and the count of every row
that is not in it. `combine` puts several together. The readers of services are in `ssc.matchups.usgs` and
`ssc.matchups.wqp`, not here: dataretrieval takes long to import.
"""

from __future__ import annotations

from ssc.matchups.columns import COLUMNS, Column, conform
from ssc.matchups.files import (
    read_aquamatch,
    read_aquasat,
    read_gemstat,
    read_grqa,
    read_plain,
    read_table,
    write_table,
)
from ssc.matchups.harmonise import Attrition, Harmonised, combine, harmonise
from ssc.matchups.surrogate import Rating, fit_rating, fit_ratings, pair_samples, surrogate_samples

__all__ = [
    "COLUMNS",
    "Attrition",
    "Column",
    "Harmonised",
    "Rating",
    "combine",
    "conform",
    "fit_rating",
    "fit_ratings",
    "harmonise",
    "pair_samples",
    "read_aquamatch",
    "read_aquasat",
    "read_gemstat",
    "read_grqa",
    "read_plain",
    "read_table",
    "surrogate_samples",
    "write_table",
]
