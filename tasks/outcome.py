"""What became of one granule: the small value that a granule task returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from ssc.ledger import Status


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """One granule's rows, or why there are none."""

    granule: str
    """Granule name, or the file name when it is no HLS name."""
    status: Status
    reason: str = ""
    """One line; empty unless set aside."""
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Results rows (`ssc.schema.COLUMNS`), one per reach on the granule; empty when set aside or without reach."""
    seconds: float = 0.0
    """Wall time spent on the granule, s."""
    hash: str = ""
    """`tasks.job.Work.hash`; empty for a granule that was set aside, so that it is tried again."""

    @classmethod
    def set_aside(cls, granule: str, reason: str) -> Outcome:
        """The outcome of a granule that could not be read."""
        return cls(granule=granule, status=Status.SET_ASIDE, reason=reason)

    @property
    def n_reaches(self) -> int:
        """Reaches of the selection that lie on the granule."""
        return len(self.rows)

    @property
    def n_estimated(self) -> int:
        """Reaches that got an SSC estimate."""
        return 0 if self.rows.empty else int(self.rows["ssc"].notna().sum())
