"""What a database must offer to be a source, and what to be a target.

`Dialect` is pure: names and types in, SQL text out. `Database` has the connection and the catalogue; `Source` adds
the log position, the snapshot and its watermark; `Target` (target.py) adds the bulk load and the merge. Nothing
outside this package asks which database it talks to.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any, BinaryIO

from sqlalchemy import Connection, Engine, and_, create_engine, event, literal_column, or_, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from cdc_pipeline.choices import DELETED_AT, NOTHING_CHOSEN, Change
from cdc_pipeline.condition import Value, parse
from cdc_pipeline.databases.condition_sql import render
from cdc_pipeline.databases.definition import Definer, Definition
from cdc_pipeline.databases.key_ranges import WHOLE_TABLE, Key, KeyRange, cut, key_columns, within
from cdc_pipeline.databases.pool import pooled_engine
from cdc_pipeline.databases.projected import carried, of_source
from cdc_pipeline.errors import CdcPipelineError, PositionLost, StatementFailed
from cdc_pipeline.model import Check, Column, ColumnType, Position, TableId, TableShape, Trail, Watermark
from cdc_pipeline.projection import filter_columns, source_columns

ISOLATION_LEVEL = "READ COMMITTED"


class Dialect(ABC):
    """SQL strings of one database. Stateless; every identifier is escaped by `quote`."""

    name: str
    longest_identifier: int
    identifier_unit = "characters"

    @abstractmethod
    def quote(self, identifier: str) -> str: ...

    def identifier_length(self, identifier: str) -> int:
        """In the unit in which the server counts."""
        return len(identifier) if self.identifier_unit == "characters" else len(identifier.encode())

    @abstractmethod
    def canonical_type(self, declared: str) -> ColumnType | None:
        """The canonical type of a column that its catalogue declares so; None if there is no mapping yet."""

    def refusal(self, declared: str) -> str:
        """Why a type has no canonical one, and the way out."""
        return "it has no mapping"

    @abstractmethod
    def column_type(self, type: ColumnType, *, in_key: bool) -> str:
        """How a column of this canonical type is declared; a key's column must be indexable."""

    @abstractmethod
    def read(self, column: Column) -> str:
        """The expression that yields the column's canonical text in the copy's SELECT list."""

    @abstractmethod
    def compare(self, name: str, type: ColumnType) -> str:
        """The expression that yields a text which is equal, on every database, for equal values of this type."""

    @abstractmethod
    def row_hash(self, columns: Sequence[tuple[str, ColumnType]], prefix: str = "") -> str:
        """The expression for the MD5 (32 hexadecimal digits) of a row's compare texts, NULLs and lengths told."""

    @abstractmethod
    def hash_sum(self, row_hash: str) -> str:
        """The aggregate that adds up the first 60 bits of these hashes: independent of the order of rows."""

    def table(self, table: TableId) -> str:
        """The qualified name; a session's temporary table has no schema."""
        if not table.schema:
            return self.quote(table.name)
        return f"{self.quote(table.schema)}.{self.quote(table.name)}"

    def columns(self, names: Sequence[str], prefix: str = "") -> str:
        return ", ".join(prefix + self.quote(name) for name in names)

    def create_table(
        self, table: TableId, shape: TableShape, additions: Mapping[str, str] | None = None, keys: Sequence[str] = ()
    ) -> str:
        """`additions` are what follows a column's type, `keys` further lines of the statement."""
        lines = []
        for column in shape.columns:
            type_text = self.column_type(column.canonical, in_key=column.name in shape.key)
            addition = (additions or {}).get(column.name, "")
            lines.append(f"{self.quote(column.name)} {type_text}{'' if column.nullable else ' NOT NULL'}{addition}")
        if shape.key:
            lines.append(f"PRIMARY KEY ({self.columns(shape.key)})")
        lines += keys
        return f"CREATE TABLE {self.table(table)} (\n  " + ",\n  ".join(lines) + "\n)"

    # -- what an owner chooses ----------------------------------------------------------------------------------

    @abstractmethod
    def operand(self, name: str, type: ColumnType) -> str:
        """The expression of a column that a `where` compares: with these literals, and blind to collations."""

    @abstractmethod
    def literal(self, value: Value, type: ColumnType) -> str:
        """A `where`'s literal, to be compared with an operand of this type."""

    @abstractmethod
    def text(self, value: str) -> str:
        """Any text as a literal."""

    @abstractmethod
    def sha256(self, text: str, *, salted: bool) -> str:
        """The expression for the SHA-256 (hexadecimal digits) of a text, in UTF-8, behind the session's salt."""

    def where(self, shape: TableShape, keys: KeyRange = WHOLE_TABLE) -> str:
        """` WHERE …` of the source's rows that are replicated, and in this range; empty if all are."""
        chosen = render(self, parse(shape.choices.where), filter_columns(shape)) if shape.choices.where else ""
        both = [f"({condition})" for condition in (chosen, within(self, key_columns(shape), keys)) if condition]
        return f" WHERE {' AND '.join(both)}" if both else ""

    def select(self, shape: TableShape, keys: KeyRange = WHOLE_TABLE, at: str = "") -> str:
        """The canonical texts of what is replicated; `at` follows the table's name."""
        fields = ", ".join(self.field(column) for column in shape.columns)
        return f"SELECT {fields} FROM {self.table(shape.table)}{at}{self.where(shape, keys)}"

    # -- ranges of the key --------------------------------------------------------------------------------------

    def key_text(self, name: str, type: ColumnType) -> str:
        """The expression of a key's value, as a text that `key_literal` makes the same value of again."""
        return self.compare(name, type)

    @abstractmethod
    def key_literal(self, text: str, type: ColumnType) -> str:
        """A key's value, to be compared with its column in that one's own order."""

    def nth(self, number: int) -> str:
        """What follows a query's ORDER BY for nothing but its row of this number, counted from 1."""
        return f"OFFSET {number - 1} ROWS FETCH NEXT 1 ROWS ONLY"

    def field(self, column: Column) -> str:
        """The expression of a column's canonical text, as its owner wants it."""
        return self._changed(column) or self.read(column.source)

    def replicated(self, shape: TableShape) -> str:
        """The source's side of a comparison: its table, or a query that gives what is replicated of it under the names
        that it has in the target."""
        if shape.choices == NOTHING_CHOSEN:
            return self.table(shape.table)
        columns = source_columns(shape)
        fields = (f"{self._changed(c) or self.quote(c.source.name)} AS {self.quote(c.name)}" for c in columns)
        return f"(SELECT {', '.join(fields)} FROM {self.table(shape.table)}{self.where(shape)}) cdc_replicated"

    def undeleted(self, table: TableId, shape: TableShape) -> str:
        """The target's side of it: where deletes are soft, the rows that the source has too."""
        if not shape.choices.soft_delete:
            return self.table(table)
        rows = f"SELECT {self.columns([c.name for c in source_columns(shape)])} FROM {self.table(table)}"
        return f"({rows} WHERE {self.quote(DELETED_AT)} IS NULL) cdc_undeleted"

    def _changed(self, column: Column) -> str:
        """The expression of a column whose value is not the source's; empty if it is."""
        name = self.quote(column.source.name)
        if column.change is Change.HASH:
            source = column.source.canonical
            hashed = self.sha256(self.compare(name, source), salted=bool(column.text))
            return f"CASE WHEN {self.read(column.source)} IS NULL THEN NULL ELSE {hashed} END"
        if column.change is Change.MASK:
            return f"CASE WHEN {name} IS NULL THEN NULL ELSE {self.text(column.text)} END"
        return "NULL" if column.change is Change.DELETED_AT else ""


class Database(ABC):
    """A connection and a catalogue."""

    dialect: Dialect
    definer: Definer = Definer()
    driver: str
    renews_sessions = True  # whether a session can be made as new (`renew_session`)

    def __init__(self, url: URL, options: Mapping[str, Any] | None = None) -> None:
        """`url` holds the password; `options` are passed to the driver's connect()."""
        self.url = url.set(drivername=self.driver)
        self.options = dict(options or {})
        self._pooled: Engine | None = None

    @property
    def display(self) -> str:
        """The URL without its password, for people."""
        return self.url.set(password=None, drivername=self.dialect.name).render_as_string()

    @property
    def engine(self) -> Engine:
        return self._pooled or self._unpooled

    @cached_property
    def _unpooled(self) -> Engine:
        """Connections live as long as the one thing they are opened for: a stream, a status answer."""
        return self.new_engine(poolclass=NullPool)

    def new_engine(self, **pool: Any) -> Engine:
        engine = create_engine(
            self.url,
            connect_args={**self.session_options(), **self.options},
            isolation_level=ISOLATION_LEVEL,
            # SQL without values goes to the driver as it is, so a `%` in an identifier needs no doubling.
            execution_options={"no_parameters": True},
            hide_parameters=True,
            **pool,
        )

        @event.listens_for(engine, "handle_error")
        def explain(context: Any) -> None:
            raise self.explain(context.original_exception) from context.original_exception

        return engine

    @abstractmethod
    def session_options(self) -> dict[str, Any]:
        """What every session needs: UTC, UTF-8, strictness."""

    @abstractmethod
    def explain(self, error: BaseException) -> CdcPipelineError:
        """The driver's error as one of ours, without a secret."""

    @contextmanager
    def explained(self) -> Iterator[None]:
        """For what goes past SQLAlchemy to the driver itself."""
        try:
            yield
        except CdcPipelineError:
            raise
        except DBAPIError as error:
            raise self.explain(error.orig or error) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in self.driver_modules:
                raise
            raise self.explain(error) from error

    driver_modules: tuple[str, ...]

    def connect(self) -> Connection:
        """A new connection, to be closed by the caller. Raises DatabaseUnavailable or AccessDenied."""
        return self.engine.connect()

    @contextmanager
    def pooled(self) -> Iterator[None]:
        """Inside, a connection that is closed serves again, as new (pool.py). At the end all are closed: nothing
        idles in a database that has nothing to do."""
        if self._pooled is not None or not self.renews_sessions:
            yield
            return
        self._pooled = pooled_engine(self)
        try:
            yield
        finally:
            engine, self._pooled = self._pooled, None
            engine.dispose()

    def release_session(self, connection: Any) -> None:
        """See pool.py."""
        connection.rollback()

    def renew_session(self, connection: Any) -> None:  # noqa: B027 - not called where sessions cannot be renewed
        """See pool.py."""

    @property
    @abstractmethod
    def default_schema(self) -> str:
        """The schema of a name that states none."""

    @abstractmethod
    def tables(self) -> list[TableId]:
        """The tables that this login may see, without those that belong to the system or to us."""

    @abstractmethod
    def shapes(self, tables: Sequence[TableId]) -> dict[TableId, TableShape]:
        """The shapes of those of these tables that exist (and that this login may see)."""

    def shape(self, table: TableId) -> TableShape | None:
        return self.shapes([table]).get(table)

    def definition(self, shape: TableShape) -> Definition:
        """What the table has besides its columns and its key."""
        with self.connect() as connection:
            return self.definer.read(self, connection, shape)

    def count(self, table: TableId) -> int:
        with self.connect() as connection:
            return int(self.scalar(connection, f"SELECT count(*) FROM {self.dialect.table(table)}"))

    def is_empty(self, table: TableId) -> bool:
        with self.connect() as connection:
            return self.scalar(connection, f"SELECT 1 FROM {self.dialect.table(table)} LIMIT 1") is None

    def checksum(self, rows: str, columns: Sequence[tuple[str, ColumnType]]) -> tuple[int, str]:
        """Row count, and the sum of the rows' hashes, computed by the server in one scan. `rows` is what stands behind
        FROM: a table, or a query of the dialect's."""
        hashed = self.dialect.hash_sum(self.dialect.row_hash(columns))
        with self.connect() as connection:
            sql = f"SELECT count(*), {hashed} FROM {rows}"
            count, total = connection.exec_driver_sql(sql).one()
        return int(count), f"{int(total or 0):x}"

    def row_hashes(
        self, rows: str, columns: Sequence[tuple[str, ColumnType]], key: Sequence[str]
    ) -> Iterator[tuple[tuple[str | None, ...], str]]:
        """Key (the compare texts of its columns) and hash of every row."""
        types = dict(columns)
        fields = [self.dialect.compare(self.dialect.quote(name), types[name]) for name in key]
        fields.append(self.dialect.row_hash(columns))
        with self.connect().execution_options(stream_results=True) as connection:
            sql = f"SELECT {', '.join(fields)} FROM {rows}"
            for *values, row_hash in connection.exec_driver_sql(sql):
                yield tuple(None if v is None else str(v) for v in values), row_hash

    def row_texts(
        self,
        rows: str,
        hashed: Sequence[tuple[str, ColumnType]],
        read: Sequence[tuple[str, ColumnType]],
        key: Sequence[str],
        keys: Collection[tuple[str | None, ...]],
    ) -> dict[tuple[str | None, ...], tuple[str | None, ...]]:
        """Of the rows with these keys, as `row_hashes` gave them: the hash of some columns, the texts of others."""
        types = dict(hashed)
        names = [self.dialect.compare(self.dialect.quote(name), types[name]) for name in key]
        fields = [*names, self.dialect.row_hash(hashed)]
        fields += [self.dialect.compare(self.dialect.quote(name), type) for name, type in read]
        wanted = or_(*(and_(*(literal_column(n) == v for n, v in zip(names, values, strict=True))) for values in keys))
        query = select(*map(literal_column, fields)).select_from(text(rows)).where(wanted)
        with self.connect() as connection:
            found = connection.execute(query, execution_options={"no_parameters": False}).all()
        return {tuple(str(v) for v in row[: len(key)]): tuple(row[len(key) :]) for row in found}

    @staticmethod
    def scalar(connection: Connection, sql: str) -> Any:
        return connection.exec_driver_sql(sql).scalar()


class Snapshot(ABC):
    """A reader of one consistent view of one table, with the watermark that says which transactions that holds."""

    watermark: Watermark

    @abstractmethod
    def is_held(self) -> bool:
        """Whether it can still be read."""

    def arranged(self, shape: TableShape) -> TableShape:
        """The shape with its columns in the order in which they are read fastest."""
        return shape

    @abstractmethod
    def copy_to(self, shape: TableShape, file: BinaryIO, keys: KeyRange = WHOLE_TABLE) -> int:
        """Write every row of this range as COPY text; returns how many. Memory does not grow with the table."""


class Source(Database):
    """A database whose changes are captured.

    Order of calls: `source_checks`, `prepare_capture` once before the first row of any table is read, `snapshot`
    per table. A position that `prepare_capture` returned stays readable in the log until `release_capture`
    (PostgreSQL), or as long as the server keeps its logs, which `check_position` tells.
    """

    hash_salt: str = ""
    truncates_alone = True  # TRUNCATE is a transaction of its own, of which Debezium may not tell the end
    target_family: str | None = None  # of the database that the changes are for; None where nobody has said so

    def new_engine(self, **pool: Any) -> Engine:
        engine = super().new_engine(**pool)
        if self.hash_salt:
            event.listen(engine, "connect", lambda connection, _: self.tell_salt(connection))
        return engine

    def renew_session(self, connection: Any) -> None:
        super().renew_session(connection)
        if self.hash_salt:
            self.tell_salt(connection)

    @abstractmethod
    def tell_salt(self, connection: Any) -> None:
        """Set the session's variable that the dialect's `sha256` reads, through the driver's own connection: so no
        statement has the secret, which servers show and errors quote."""

    def count_replicated(self, shape: TableShape) -> int:
        sql = f"SELECT count(*) FROM {self.dialect.table(shape.table)}{self.dialect.where(shape)}"
        with self.connect() as connection:
            return int(self.scalar(connection, sql))

    def definition(self, shape: TableShape) -> Definition:
        """What the target can have of it, where the owner chose to replicate something else than the table itself."""
        return carried(super().definition(of_source(shape)), shape)

    @abstractmethod
    def source_checks(self, tables: Sequence[TableShape], slot: str) -> list[Check]: ...

    @abstractmethod
    def prepare_capture(self, tables: Sequence[TableId], slot: str) -> Position:
        """The position from which on every change can be captured. Creates what holds it there (a slot), once."""

    @abstractmethod
    def extend_capture(self, tables: Sequence[TableId], slot: str) -> None:
        """From its return on, every transaction's changes of these further tables are captured too."""

    @abstractmethod
    def release_capture(self, slot: str) -> None:
        """Give up what `prepare_capture` made. Harmless if there is nothing."""

    @abstractmethod
    def check_position(self, position: Position, slot: str) -> None:
        """Raises PositionLost if the log no longer reaches back to it."""

    @abstractmethod
    def mark(self) -> Position:
        """A position at or after every transaction that has committed by now; a connector will reach it even if
        nothing more is written."""

    def clock(self) -> float:
        """Seconds since 1970, by the server's clock where it sends heartbeats: theirs are the times to compare."""
        return time.time()

    def heartbeat_checks(self, table: TableId) -> list[Check]:
        """Whether the connector may beat in this table, or we may make it."""
        return []

    def prepare_heartbeat(self, table: TableId) -> None:
        """Make the table of the heartbeats. Harmless if it is there."""

    def beat(self, table: TableId, replication: str) -> None:
        """Write the replication's row of the heartbeats' table."""

    def stir(self) -> None:
        """Make an idle log move, if this login may: for those who wait for a connector to report its position."""

    @abstractmethod
    def reached(self, offset: Mapping[str, Any], mark: Position) -> bool:
        """Whether a connector with this offset has delivered everything up to the mark."""

    @abstractmethod
    def snapshots(self, shape: TableShape, most: int) -> AbstractContextManager[Sequence[Snapshot]]:
        """Readers of one snapshot, at most so many and at least one; each is for one thread."""

    @contextmanager
    def snapshot(self, shape: TableShape) -> Iterator[Snapshot]:
        with self.snapshots(shape, 1) as readers:
            yield readers[0]

    def is_scattered(self, shape: TableShape) -> bool:
        """Whether rows that follow each other in the key's order lie apart, so that to read a range of them is to walk
        through the whole table."""
        return False

    def cut(self, shape: TableShape, after: Key | None, rows: int) -> Key | None:
        """The key at which a range of so many rows ends that begins after this one; None if there are fewer."""
        with self.connect() as connection:
            row = connection.exec_driver_sql(cut(self.dialect, shape, after, rows)).first()
        return None if row is None or None in row else tuple(str(value) for value in row)

    @abstractmethod
    def watermark(self, text: str) -> Watermark:
        """The watermark that `to_text` wrote."""

    def transaction_name(self, id: str) -> str:
        """What the begin, the events and the end of a transaction have in common of what Debezium calls its `id`."""
        return id

    @abstractmethod
    def trail(self, text: str | None) -> Trail:
        """The trail that `to_text` wrote; of a topic of which nothing is known, a new one."""

    def require_position(self, available: bool, position: Position, reason: str) -> None:
        if not available:
            raise PositionLost(position=position.to_text(), reason=reason)


def statement_failed(database: Database, error: BaseException) -> StatementFailed:
    return StatementFailed(database=database.display, reason=str(error).strip())
