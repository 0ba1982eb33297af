"""The page about a store: one HTML file that needs nothing else, no network and no scripts.

The same store gives the same bytes: nothing here looks at a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from ssc.drafts import drafted
from ssc.errors import InputError
from ssc.report import colours, sections
from ssc.report.frames import Frames
from ssc.report.skill import read_observed
from ssc.results import Store, open_store

TITLE: Final = "Suspended sediment of rivers"


def write_report(
    store: Store | Path | str,
    out: Path | str,
    *,
    quicklooks: Path | str | None = None,
    insitu: pd.DataFrame | None = None,
    truth: pd.DataFrame | None = None,
    title: str = TITLE,
    simulated: bool = False,
    facts: Mapping[str, object] | None = None,
) -> Path:
    """Write one self-contained HTML page about a results store.

    A store with several maskers and regressors is shown by the pair with most estimates; the page names the others.

    Args:
        store: An open store, or where one lies.
        out: HTML file; folders are made, an old file is replaced.
        quicklooks: Folder with pictures named <granule>.jpg (.png, .webp), see `quicklook`.
        insitu: Samples: reach_id, time (UTC), ssc_mg_l.
        truth: What a simulation knows: reach_id, time (UTC), ssc_mg_l or ssc_median_mg_l.
        title: Heading of the page.
        simulated: Label the page as simulated data; done anyway when samples or truth (column
            `simulated`) or names of rivers say so.
        facts: Further lines for the provenance section.

    Returns:
        `out`.

    Raises:
        InputError: No store there, or no such folder of quick-looks.
        DataError: Samples or truth without the columns above.
    """
    opened = store if isinstance(store, Store) else open_store(store)
    folder = None if quicklooks is None else Path(quicklooks)
    if folder is not None and not folder.is_dir():
        raise InputError(f"no folder of quick-looks: found nothing at {folder}, wanted pictures named <granule>.jpg")
    page = render(
        Frames.of(opened),
        quicklooks=folder,
        insitu=insitu,
        truth=truth,
        title=title,
        simulated=simulated,
        facts=facts,
    )
    with drafted(Path(out)) as draft:
        draft.write_text(page, encoding="utf-8")
    return Path(out)


def render(
    frames: Frames,
    *,
    quicklooks: Path | None = None,
    insitu: pd.DataFrame | None = None,
    truth: pd.DataFrame | None = None,
    title: str = TITLE,
    simulated: bool = False,
    facts: Mapping[str, object] | None = None,
) -> str:
    """The page as text; see `write_report`."""
    methods = frames.methods
    method = methods[0] if methods else ("none", "none")
    chosen = frames.only(method)
    samples = None if insitu is None else read_observed(insitu, "in-situ samples")
    known = None if truth is None else read_observed(truth, "truth")
    parts = (
        sections.summary(chosen),
        sections.map_section(chosen),
        sections.series(chosen, samples, known),
        sections.comparisons(chosen, samples, known),
        sections.calendar(chosen),
        sections.looks(chosen, quicklooks),
        sections.about(chosen, method, facts or {}),
    )
    return (
        _environment()
        .get_template("template.html.j2")
        .render(
            title=title,
            simulated=simulated
            or _invented(frames.reaches)
            or any(_says_simulated(table) for table in (insitu, truth)),
            other_methods=methods[1:],
            colours=colours,
            **{name: value for part in parts for name, value in part.items()},
        )
    )


def _environment() -> Environment:
    """Escapes whatever is not markup of our own, and fails on a name nobody has given."""
    return Environment(
        loader=PackageLoader("ssc.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _says_simulated(samples: pd.DataFrame | None) -> bool:
    return samples is not None and "simulated" in samples and bool(samples["simulated"].astype(bool).any())


def _invented(reaches: pd.DataFrame) -> bool:
    """True when a river's name says so, as `ssc.simulate` names its own: no such page must pass for a measurement."""
    return any("(simulated)" in str(name) for name in reaches["river_name"].unique())
