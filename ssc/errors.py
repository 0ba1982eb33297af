"""What can go wrong, as a tree.

    SscError
    ├─ InputError (also ValueError)   the caller's mistake: wrong use, never retried
    │  ├─ GranuleNameError            not an HLS v2.0 name
    │  ├─ BandError                   no such band, or not one of this product
    │  └─ ReachError                  unknown reach, or a reach file without what a reach needs
    ├─ DataError                      a file is not what it claims to be: the granule is set aside, the rest goes on
    │  ├─ GridError                   layers that should share a grid do not
    │  └─ ResultError                 a table breaks the results schema
    ├─ AccessError                    a service refuses us (login, licence, permission): the run stops
    └─ TransientError                 worth another try: time-out, HTTP 429 or 5xx, cut connection

Absence is data, not an error: a reach under cloud is a row with a flag.
A message has four parts: what, which, found, wanted (or the remedy).
"""


class SscError(Exception):
    """Any failure this package reports on purpose."""


class InputError(SscError, ValueError):
    """The caller asked for something that cannot be: fix the call. Do not raise it for the content of a file."""


class GranuleNameError(InputError):
    """A text that should be an HLS v2.0 granule or file name is not one."""


class BandError(InputError):
    """A band that does not exist, or that this product does not have."""


class ReachError(InputError):
    """A reach that is not in the file, or a file that holds no usable reaches."""


class DataError(SscError):
    """A file is missing, broken or not what it claims to be. Sets one granule aside; never retried."""


class GridError(DataError):
    """Two layers that should lie on one grid (shape, transform, CRS) do not."""


class ResultError(DataError):
    """A table does not follow the results schema."""


class AccessError(SscError):
    """A service refuses us: no login, expired token, licence not accepted. Stops the run, says what to do."""


class TransientError(SscError):
    """A failure that may be gone in a moment. The only kind that is retried."""
