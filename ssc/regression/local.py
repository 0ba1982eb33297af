"""What a few local samples tell about a site: its offset, and how that changes with the colour of the water.

ln SSC = trained estimate + b(site, colour) + noise, with b a Gaussian process over the colours of one site: a constant
part (the site's grain size and minerals) and a part that changes smoothly with colour. How large the parts are is
learned from the residuals of the training sites (empirical Bayes), so three samples move the estimate a little and
thirty a lot. A sample that contradicts the others counts less (noise after Student, by reweighting): samples and
satellite may be days apart.

Sources: Robinson 1991, Stat. Sci. 6, 15 (best linear unbiased prediction); Rasmussen & Williams 2006, ch. 2 and 5;
Lange, Little & Taylor 1989, J. Am. Stat. Assoc. 84, 881 (Student noise by reweighting).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ssc.regression.physical import SITE_SD

Floats = NDArray[np.float64]

LEAST_SITES: Final = 6
"""Fewer sites than this say nothing of the variance between sites; `ASSUMED` stands in."""
MOST_ROWS: Final = 60
"""Of one site when the parts are learned: the time grows with their cube."""
MOST_SITES: Final = 300
LENGTHS: Final = (1.0, 2.0, 4.0)
"""Candidate distances over which the second part changes, in standard deviations per colour feature."""
FREEDOM: Final = 4.0
"""Degrees of freedom of the noise: as in Lange et al., heavy tails."""
ROUNDS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Variances of ln SSC: what differs between sites and what is noise."""

    constant: float
    """Of the part that a site keeps."""
    colour: float
    """Of the part that changes with colour."""
    noise: float
    """Of a single sample."""
    length: float
    """Distance over which the second part changes, standard deviations per colour feature."""

    def shared(self, one: Floats, other: Floats) -> Floats:
        """(n, m) covariance of b between rows of standardised colours (n, c) and (m, c) of one site."""
        square = ((one[:, None, :] - other[None, :, :]) ** 2).mean(axis=-1)
        return np.asarray(self.constant + self.colour * np.exp(-square / (2 * self.length**2)))


ASSUMED: Final = Parts(constant=SITE_SD**2, colour=0.0, noise=0.35, length=2.0)
"""Between sites as `ssc.regression.physical` assumes; noise of a sample about 0.6 in ln SSC. Not measured."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Correction:
    """What the samples of one site have taught."""

    parts: Parts
    colours: Floats
    """(n, c) standardised colours of the samples."""
    weights: Floats
    """(n,) what each sample adds, per unit of shared covariance."""
    inverse: Floats
    """(n, n) inverse covariance of the samples, noise included."""

    def at(self, colours: Floats) -> tuple[Floats, Floats]:
        """What to add to ln SSC at (m, c) colours, and by how much the error shrinks: both (m,).

        The second is the standard deviation of the corrected over that of the uncorrected estimate, at most 1.
        """
        shared = self.parts.shared(colours, self.colours)
        before = self.parts.constant + self.parts.colour + self.parts.noise
        known = np.einsum("ij,jk,ik->i", shared, self.inverse, shared)
        return shared @ self.weights, np.sqrt(np.clip(1 - known / before, 0, 1))


def learn_parts(residuals: Floats, colours: Floats, groups: NDArray[Any], *, seed: int = 0) -> Parts:
    """The variances that make the residuals of the training sites most likely.

    Args:
        residuals: (n,) ln SSC of the samples minus estimates by models that had not seen their site.
        colours: (n, c) standardised colours.
        groups: (n,) sites.
        seed: Which rows of sites with very many are used.
    """
    sites = _sites(groups, seed)
    if len(sites) < LEAST_SITES:
        return ASSUMED
    spread = max(float(np.var(residuals)), 1e-4)
    fits = [
        minimize(
            _unlikely, np.log([spread / 3, spread / 6, spread / 2]), (residuals, colours, sites, length),
            method="L-BFGS-B", bounds=[(np.log(1e-4), np.log(10.0))] * 3,
        )
        for length in LENGTHS
    ]  # fmt: skip
    best = int(np.argmin([fit.fun for fit in fits]))
    constant, colour, noise = np.exp(fits[best].x).tolist()
    return Parts(constant=constant, colour=colour, noise=noise, length=LENGTHS[best])


def learn_correction(parts: Parts, residuals: Floats, colours: Floats) -> Correction:
    """What the residuals (n,) of a site's samples at (n, c) colours say of the site."""
    prior, trust = parts.shared(colours, colours), np.ones(len(residuals))
    for _ in range(ROUNDS):
        inverse = np.asarray(np.linalg.inv(prior + np.diag(parts.noise / trust)))
        left = residuals - prior @ (inverse @ residuals)
        trust = (FREEDOM + 1) / (FREEDOM + left**2 / (parts.noise * (FREEDOM - 2) / FREEDOM))
    return Correction(parts=parts, colours=colours, weights=inverse @ residuals, inverse=inverse)


def _sites(groups: NDArray[Any], seed: int) -> list[NDArray[np.intp]]:
    """Rows of each site with two rows at least; not too many of either."""
    rng = np.random.default_rng(seed)
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[order], return_index=True)
    rows = [part for part in np.split(order, starts[1:]) if len(part) > 1]
    if len(rows) > MOST_SITES:
        rows = [rows[index] for index in rng.choice(len(rows), MOST_SITES, replace=False)]
    return [part if len(part) <= MOST_ROWS else rng.choice(part, MOST_ROWS, replace=False) for part in rows]


def _unlikely(
    logs: Floats, residuals: Floats, colours: Floats, sites: Sequence[NDArray[np.intp]], length: float
) -> float:
    """Negative log likelihood of the residuals."""
    constant, colour, noise = np.exp(logs)
    parts = Parts(constant=constant, colour=colour, noise=noise, length=length)
    total = 0.0
    for rows in sites:
        covariance = parts.shared(colours[rows], colours[rows]) + noise * np.eye(len(rows))
        factor = np.linalg.cholesky(covariance)
        white = np.linalg.solve(factor, residuals[rows])
        total += float(white @ white / 2 + np.log(np.diag(factor)).sum())
    return total
