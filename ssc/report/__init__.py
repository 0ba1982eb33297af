"""One page about a results store, and one picture per granule."""

from __future__ import annotations

from ssc.report.page import write_report
from ssc.report.quicklook import quicklook

__all__ = ["quicklook", "write_report"]
