"""A database: its connections, its catalogue, and sums over its rows.

`Dialect` (dialect.py) is its SQL; `Source` (source.py) adds the log position, the snapshot and its watermark, `Target`
(target.py) the bulk load and the merge. Nothing outside this package asks which database it talks to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from cdc_pipeline.databases.definition import Definer, Definition
from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.databases.key_ranges import Key, KeySet, among
from cdc_pipeline.databases.pool import pooled_engine
from cdc_pipeline.errors import CdcPipelineError, StatementFailed
from cdc_pipeline.model import ColumnType, TableId, TableShape

ISOLATION_LEVEL = "READ COMMITTED"

Buckets = dict[str, tuple[int, int]]  # by name, which are hexadecimal digits: rows, and the sum of their hashes


class Database(ABC):
    """A connection and a catalogue."""

    dialect: Dialect
    definer: Definer = Definer()
    driver: str
    version_query: str = ""  # none where a database's own checks look at the version
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

    def version(self) -> str:
        """As the server tells it: `8.0.15`, `10.11.5-MariaDB-log`, `18.1 (Debian 18.1-1)`. Empty where nobody asks."""
        if not self.version_query:
            return ""
        with self.connect() as connection:
            return str(self.scalar(connection, self.version_query))

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
            """What ends the program (Ctrl-C, a terminated run) is nothing that the database said."""
            error = context.original_exception
            if isinstance(error, Exception):
                explained = self.explain(error)
                if explained.ends_session:
                    context.is_disconnect = True
                raise explained from error

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

    def shapes(self, tables: Sequence[TableId]) -> dict[TableId, TableShape]:
        """The shapes of those of these tables that exist (and that this login may see)."""
        if not tables:
            return {}
        with self.connect() as connection:
            return self.read_shapes(connection, tables)

    @abstractmethod
    def read_shapes(self, connection: Connection, tables: Sequence[TableId]) -> dict[TableId, TableShape]:
        """`shapes`, as the caller's session sees them; of one table at least."""

    def shape(self, table: TableId) -> TableShape | None:
        return self.shapes([table]).get(table)

    def definition(self, shape: TableShape) -> Definition:
        """What the table has besides its columns and its key."""
        with self.connect() as connection:
            return self.read_definition(connection, shape)

    def read_definition(self, connection: Connection, shape: TableShape) -> Definition:
        """`definition`, as the caller's session sees it."""
        return self.definer.read(self, connection, shape)

    def count(self, table: TableId) -> int:
        return self.count_rows(self.dialect.table(table))

    def count_rows(self, rows: str) -> int:
        """`rows` is what stands behind FROM."""
        with self.connect() as connection:
            return int(self.scalar(connection, f"SELECT count(*) FROM {rows}"))

    def is_empty(self, connection: Connection, table: TableId) -> bool:
        return self.scalar(connection, f"SELECT 1 FROM {self.dialect.table(table)} LIMIT 1") is None

    def bucket_sums(
        self,
        rows: str,
        columns: Sequence[tuple[str, ColumnType]],
        key: Sequence[str],
        digits: int,
        within: Collection[str] = (),
    ) -> Buckets:
        """How many rows each bucket has and the sum of their hashes, computed by the server in one scan. `rows` is what
        stands behind FROM: a table, or a query of the dialect's.

        A bucket has the rows whose key has a hash that begins with the same digits, so it is the same on every server,
        whatever order that gives to texts. Without a key it is the row's. Only those of the coarser buckets `within`
        are counted, or all.
        """
        bucket, hashed = self._bucket(columns, key, digits), self.dialect.hash_sum(self.dialect.row_hash(columns))
        where = self._only(columns, key, within)
        with self.connect() as connection:
            sql = f"SELECT {bucket}, count(*), {hashed} FROM {rows}{where} GROUP BY {bucket}"
            return {str(name): (int(count), int(total)) for name, count, total in connection.exec_driver_sql(sql)}

    def _bucket(self, columns: Sequence[tuple[str, ColumnType]], key: Sequence[str], digits: int) -> str:
        types = dict(columns)
        by = [(name, types[name]) for name in key] or columns
        return f"SUBSTR({self.dialect.row_hash(by)}, 1, {digits})"

    def _only(
        self, columns: Sequence[tuple[str, ColumnType]], key: Sequence[str], only: Collection[str] | KeySet
    ) -> str:
        """The WHERE for the rows in these buckets or with these keys; of no buckets, for all rows."""
        if isinstance(only, KeySet):
            types = dict(columns)
            return f" WHERE {among(self.dialect, [(name, types[name]) for name in key], only.keys)}"
        if not only:
            return ""
        bucket = self._bucket(columns, key, len(next(iter(only))))
        return f" WHERE {self.dialect.one_of(bucket, sorted(only))}"

    def row_hashes(
        self,
        rows: str,
        columns: Sequence[tuple[str, ColumnType]],
        key: Sequence[str],
        only: Collection[str] | KeySet = (),
    ) -> Iterator[tuple[Key, str]]:
        """Key (the compare texts of its columns) and hash of every row, or of those in these buckets or with these
        keys."""
        types = dict(columns)
        fields = [self.dialect.compare(self.dialect.quote(name), types[name]) for name in key]
        fields.append(self.dialect.row_hash(columns))
        with self.connect().execution_options(stream_results=True) as connection:
            sql = f"SELECT {', '.join(fields)} FROM {rows}{self._only(columns, key, only)}"
            for *values, row_hash in connection.exec_driver_sql(sql):
                yield tuple(map(str, values)), row_hash

    def row_texts(
        self,
        rows: str,
        hashed: Sequence[tuple[str, ColumnType]],
        read: Sequence[tuple[str, ColumnType]],
        key: Sequence[str],
        keys: KeySet,
    ) -> dict[Key, tuple[str | None, ...]]:
        """Of the rows with these keys: the hash of some columns, the texts of others."""
        types = dict(hashed)
        fields = [self.dialect.compare(self.dialect.quote(name), types[name]) for name in key]
        fields.append(self.dialect.row_hash(hashed))
        fields += [self.dialect.compare(self.dialect.quote(name), type) for name, type in read]
        sql = f"SELECT {', '.join(fields)} FROM {rows}{self._only(hashed, key, keys)}"
        with self.connect() as connection:
            found = connection.exec_driver_sql(sql).all()
        return {tuple(map(str, row[: len(key)])): tuple(row[len(key) :]) for row in found}

    @staticmethod
    def scalar(connection: Connection, sql: str) -> Any:
        return connection.exec_driver_sql(sql).scalar()


def statement_failed(database: Database, error: BaseException) -> StatementFailed:
    return StatementFailed(database=database.display, reason=str(error).strip())
