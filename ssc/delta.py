"""A Delta table whose rows are known by a key: read a part, change it, commit all of it or nothing.

Every change is computed on one version of the table and committed only if no one else changed that part meanwhile;
otherwise it is computed again on the newer version (optimistic concurrency). A process killed at any moment leaves the
old version or the new one, and at worst a data file that no version names.

On S3 commits are safe by conditional put (If-None-Match), without a lock service: deltalake 1.x does so by default.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from operator import and_

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, Field, WriterProperties
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from ssc.conform import Bools, match, require_unique, same_rows
from ssc.errors import ResultError, TransientError
from ssc.places import told

Scope = Mapping[str, Sequence[int]]
"""Partition column -> the values a change is about."""

_ATTEMPTS = 12
_MOST_FILES = 24
"""Per partition; more are joined."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Swap:
    """Stored rows, and the rows that shall stand in their place."""

    before: pa.Table
    after: pa.Table
    """Rows that are also in `before` stay as they are."""
    fresh: Bools
    """(rows of after,) True where the row was asked for, False where it was in the store."""
    outranked: int = 0
    """Rows that were asked for and are not in `after`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a write did to a table, in rows."""

    inserted: int = 0
    updated: int = 0
    """Rows that were there with other content."""
    unchanged: int = 0
    """Rows that were there already just so; they are not touched."""
    deleted: int = 0
    """Stored rows taken out, because another tile's row speaks for the overpass."""
    outranked: int = 0
    """Rows not written, because another tile's row speaks for the overpass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedTable:
    """A Delta table at a place; partition columns are integers, named in every change as literals.

    Pruning needs integer literals in the predicate (delta-io/delta-rs#3786, #4301).

    A table made before a column was thought of is read as if that column were empty, if it may be; the first change
    adds the column to it, in a commit of its own, which makes it unreadable for the older version of the package.
    """

    uri: str
    schema: pa.Schema
    key: tuple[str, ...]
    partitions: tuple[str, ...]

    def create(self, description: str) -> None:
        """Make the table unless it is there."""
        with told(self.uri):
            DeltaTable.create(
                self.uri,
                schema=self.schema,
                mode="ignore",
                partition_by=list(self.partitions),
                description=description,
            )

    def exists(self) -> bool:
        """True when the table is there."""
        try:
            self._open()
        except FileNotFoundError:
            return False
        return True

    @property
    def version(self) -> int:
        """Number of the newest commit; a write that changes nothing does not raise it."""
        return int(self._open().version())

    @property
    def files(self) -> int:
        """Number of data files of the newest version."""
        return len(self._open().file_uris())

    def read(self, where: pc.Expression | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows where an expression holds, in no order.

        Raises:
            ResultError: The table has columns that this version of the package does not know, or lacks some that
                must have a value in each row.
        """
        return self._read(self._open(), where, columns)

    def swap(self, scope: Scope, where: pc.Expression, decide: Callable[[pa.Table], Swap]) -> Written:
        """Change rows in one commit, or none if nothing differs.

        A table that lacks columns gets them first, in a commit that changes no row.

        Args:
            scope: Partitions that hold all rows that are read or written.
            where: Which rows of those partitions are read.
            decide: From those rows to what becomes of them; called again when someone else was quicker.

        Raises:
            ResultError: The new rows have a key twice.
            TransientError: Others were quicker each time.
        """
        for attempt in range(_ATTEMPTS):
            table = self._open()
            swap = decide(self._read(table, where & in_scope(scope), None))
            actions, written = self._actions(swap)
            if actions.num_rows == 0:
                return written
            try:
                self._complete(table)
                self._merge(table, actions, scope)
            except CommitFailedError:
                time.sleep(_pause(attempt))
            else:
                self._join_small_files(table, scope)
                return written
        raise TransientError(f"cannot commit to {self.uri}: {_ATTEMPTS} times another writer was quicker; run again")

    def tidy(self) -> None:
        """Join small files, and delete files that no version of the last week names; rows stay as they are."""
        table = self._open()
        table.optimize.compact(writer_properties=_writer())
        table.vacuum(dry_run=False)

    def _open(self) -> DeltaTable:
        try:
            with told(self.uri):
                return DeltaTable(self.uri)
        except TableNotFoundError as error:
            raise FileNotFoundError(self.uri) from error

    def _read(self, table: DeltaTable, where: pc.Expression | None, columns: Sequence[str] | None) -> pa.Table:
        dataset = table.to_pyarrow_dataset()
        later = self._later(dataset.schema.names)
        names = list(columns) if columns is not None else self.schema.names
        with told(self.uri):
            found = dataset.to_table(filter=where, columns=[name for name in names if name not in later])
        for name in names:
            if name in later:
                found = found.append_column(name, pa.nulls(found.num_rows, self.schema.field(name).type))
        return found.select(names).cast(pa.schema([self.schema.field(name) for name in names]))

    def _later(self, stored: Sequence[str]) -> list[str]:
        """Columns that the table was made without.

        Raises:
            ResultError: As of `read`.
        """
        lacking = [name for name in self.schema.names if name not in stored]
        strange = {name for name in lacking if not self.schema.field(name).nullable} | set(stored) - set(
            self.schema.names
        )
        if strange:
            raise ResultError(
                f"{self.uri} was written by another version: found a difference in {' '.join(sorted(strange))}"
            )
        return lacking

    def _actions(self, swap: Swap) -> tuple[pa.Table, Written]:
        """Rows to put and to delete, told apart by a column, so that one MERGE does both."""
        require_unique(swap.after, self.key)
        new, old = match(swap.after, swap.before, self.key)
        same = same_rows(swap.after.take(new), swap.before.take(old))
        put = np.ones(swap.after.num_rows, dtype=bool)
        put[new[same]] = False
        gone = np.ones(swap.before.num_rows, dtype=bool)
        gone[old] = False
        updated = int((~same).sum())
        written = Written(
            inserted=int(put.sum()) - updated,
            updated=updated,
            unchanged=int((~put & swap.fresh).sum()),
            deleted=int(gone.sum()),
            outranked=swap.outranked,
        )
        puts, deletes = swap.after.filter(put), swap.before.filter(gone)
        action = pa.array(["put"] * puts.num_rows + ["delete"] * deletes.num_rows, pa.string())
        return pa.concat_tables([puts, deletes]).append_column("action", action), written

    def _complete(self, table: DeltaTable) -> None:
        later = self._later(table.schema().to_arrow().names)
        if later:
            table.alter.add_columns([Field.from_arrow(self.schema.field(name)) for name in later])

    def _merge(self, table: DeltaTable, actions: pa.Table, scope: Scope) -> None:
        keys = [f"s.{name} = t.{name}" for name in self.key]
        parts = [f"t.{name} IN ({', '.join(map(str, values))})" for name, values in scope.items()]
        values = {name: f"s.{name}" for name in self.schema.names}
        merger = table.merge(
            actions, " AND ".join(keys + parts), source_alias="s", target_alias="t", writer_properties=_writer()
        )
        merger = merger.when_matched_delete("s.action = 'delete'")
        merger = merger.when_matched_update(values, "s.action = 'put'")
        with told(self.uri):
            merger.when_not_matched_insert(values, "s.action = 'put'").execute()

    def _join_small_files(self, table: DeltaTable, scope: Scope) -> None:
        """Every commit adds a file, and every file costs each later commit and query some milliseconds."""
        parts = [(name, "in", [str(value) for value in values]) for name, values in scope.items()]
        if len(table.file_uris(file_pruning_predicate=parts)) > _MOST_FILES * np.prod([len(v) for v in scope.values()]):
            with suppress(CommitFailedError):  # another writer was quicker; the next commit will see to it
                table.optimize.compact(partition_filters=parts, writer_properties=_writer())


def in_scope(scope: Scope) -> pc.Expression:
    """True for the rows of those partitions."""
    return reduce(and_, [pc.field(name).isin(list(values)) for name, values in scope.items()])


def text(name: str) -> pc.Expression:
    """A text column for use in conditions.

    The cast keeps Arrow from comparing the condition with file statistics, which deltalake gives as string_view, for
    which Arrow has no kernels (apache/arrow#49368): `field("masker") == "fmask"` raises as soon as a file holds two
    maskers.
    """
    return pc.field(name).cast(pa.large_string())


def _pause(attempt: int) -> float:
    """Seconds to wait before another try, longer each time; by chance, so that two writers do not keep in step."""
    longest = min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S)
    return random.uniform(0.5, 1.0) * longest  # noqa: S311  nothing secret


def _writer() -> WriterProperties:
    return WriterProperties(compression="ZSTD")
