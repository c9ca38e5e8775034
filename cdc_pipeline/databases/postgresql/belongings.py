"""What belongs to a PostgreSQL table, read from its catalogue: what another table would have to carry to take its
place, and what hangs on the table itself, so that none can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, text

from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.databases.postgresql.definition import quoted
from cdc_pipeline.model import TableId

_THE_TABLE = (
    "SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :schema AND c.relname = :name"
)
_IS_ENFORCED = "coalesce((to_jsonb(k)->>'conenforced')::boolean, true)"  # which servers before 18 do not tell

# Whatever pg_depend says depends on the table, or on a part of it, and is none of its parts. Internal triggers
# are how foreign keys are enforced, and the sequence of a serial column stays when its table goes. Before version 14
# what keeps long values has a type, as tables have.
_DEPENDENTS = f"""
WITH it AS ({_THE_TABLE}),
relations AS (
  SELECT oid AS id FROM it
  UNION SELECT indexrelid FROM pg_index JOIN it ON indrelid = it.oid
  UNION SELECT reltoastrelid FROM it
  UNION SELECT indexrelid FROM pg_index JOIN it ON indrelid = it.reltoastrelid
  UNION SELECT d.objid FROM pg_depend d JOIN it ON d.refobjid = it.oid JOIN pg_class s ON s.oid = d.objid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'
    AND s.relkind = 'S'
),
own AS (
  SELECT 'pg_class'::regclass::oid AS class, id FROM relations
  UNION SELECT 'pg_type'::regclass, t.oid FROM pg_type t JOIN it ON t.typrelid IN (it.oid, nullif(it.reltoastrelid, 0))
  UNION SELECT 'pg_type'::regclass, t.typarray FROM pg_type t JOIN it ON t.typrelid = it.oid
  UNION SELECT 'pg_attrdef'::regclass, d.oid FROM pg_attrdef d JOIN it ON d.adrelid = it.oid
  UNION SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k JOIN it ON k.conrelid = it.oid
)
SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0) AS described
FROM pg_depend d JOIN own ON d.refclassid = own.class AND d.refobjid = own.id
LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
WHERE NOT EXISTS (SELECT 1 FROM own o WHERE o.class = d.classid AND o.id = d.objid)
AND NOT (d.classid = 'pg_class'::regclass AND d.deptype = 'a' AND EXISTS (SELECT 1 FROM pg_class s
  WHERE s.oid = d.objid AND s.relkind = 'S'))
AND NOT coalesce(t.tgisinternal, false) AND pg_describe_object(d.classid, d.objid, 0) IS NOT NULL ORDER BY described
"""
# What the table is, or has, that a new one would not get.
_PECULIARITIES = f"""
WITH it AS ({_THE_TABLE}) SELECT reason FROM it CROSS JOIN LATERAL (VALUES
  (it.relkind <> 'r', 'its being no plain table'),
  (EXISTS (SELECT 1 FROM pg_inherits WHERE inhrelid = it.oid), 'the table it is a part of, or inherits from'),
  (it.relpersistence <> 'p', 'its being UNLOGGED'),
  (it.reloftype <> 0, 'the type it is a table of'),
  (it.relam <> (SELECT oid FROM pg_am WHERE amname = 'heap'), 'its access method'),
  (it.relreplident <> 'd', 'its replica identity'),
  (it.relrowsecurity OR it.relforcerowsecurity, 'its row security'),
  (it.reltablespace <> 0 OR EXISTS (SELECT 1 FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
    WHERE i.indrelid = it.oid AND x.reltablespace <> 0), 'its tablespace'),
  (EXISTS (SELECT 1 FROM pg_index WHERE indrelid = it.oid AND indisclustered), 'the index it is clustered by'),
  (EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attnum > 0 AND (a.attoptions IS NOT NULL OR
    coalesce(a.attstattarget, -1) >= 0) AND a.attrelid IN (SELECT it.oid UNION
    SELECT indexrelid FROM pg_index WHERE indrelid = it.oid)), 'the statistics that are asked for of its columns'),
  (EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = it.oid AND confrelid = it.oid),
    'a foreign key that refers to the table itself'),
  (EXISTS (SELECT 1 FROM pg_subscription_rel WHERE srrelid = it.oid), 'a subscription'),
  (EXISTS (SELECT 1 FROM pg_seclabel WHERE objoid = it.oid), 'a security label'),
  (EXISTS (SELECT 1 FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = it.oid
    AND refclassid = 'pg_extension'::regclass), 'the extension it is a part of')
) AS peculiarities(found, reason) WHERE found
"""


def obstacles(connection: Connection, table: TableId) -> list[str]:
    """What would be lost, or go on with the old table, if a new one took its place."""
    return [row[0] for query in (_PECULIARITIES, _DEPENDENTS) for row in _rows(connection, query, table)]


def enforced_references(connection: Connection, table: TableId) -> list[str]:
    """The foreign keys of other tables that a DELETE of all rows would violate, or follow, before they are back."""
    query = (
        f"WITH it AS ({_THE_TABLE}) SELECT pg_describe_object('pg_constraint'::regclass, k.oid, 0) "
        f"FROM it JOIN pg_constraint k ON k.confrelid = it.oid AND k.contype = 'f' WHERE k.conrelid <> it.oid "
        f"AND {_IS_ENFORCED} AND NOT (k.condeferrable AND k.confdeltype = 'a') ORDER BY 1"
    )
    return [row[0] for row in _rows(connection, query, table)]


def fingerprint(connection: Connection, table: TableId) -> str:
    """What the shadow was made like: columns, indexes, constraints."""
    query = (
        f"WITH it AS ({_THE_TABLE}) SELECT (SELECT json_agg(json_build_array(a.attname, "
        "format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid)) "
        "ORDER BY a.attnum) FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid "
        "AND d.adnum = a.attnum WHERE a.attrelid = it.oid AND a.attnum > 0 AND NOT a.attisdropped), "
        "(SELECT json_agg(pg_get_indexdef(i.indexrelid) ORDER BY i.indexrelid) FROM pg_index i "
        "WHERE i.indrelid = it.oid), (SELECT json_agg(json_build_array(k.conname, pg_get_constraintdef(k.oid)) "
        "ORDER BY k.oid) FROM pg_constraint k WHERE k.conrelid = it.oid) FROM it"
    )
    return str(_rows(connection, query, table))


# -- what is made for the shadow ----------------------------------------------------------------------------------


def indexes_and_keys(
    dialect: Dialect, connection: Connection, table: TableId, shadow: TableId, *, anew: bool
) -> list[tuple[str, str]]:
    """Names, and the statements that make them. One made `anew` has its primary key already."""
    kinds = "'u', 'x', 'f'" if anew else "'p', 'u', 'x', 'f'"
    new, quote = dialect.table(shadow), dialect.quote
    keys = _rows(
        connection,
        f"WITH it AS ({_THE_TABLE}) SELECT k.conname, pg_get_constraintdef(k.oid) AS written, k.contype FROM it "
        f"JOIN pg_constraint k ON k.conrelid = it.oid WHERE k.contype IN ({kinds}) ORDER BY k.contype = 'f', k.conname",
        table,
    )
    indexes = _rows(
        connection,
        f"WITH it AS ({_THE_TABLE}) SELECT x.relname, i.indisunique, pg_get_indexdef(x.oid) AS written, "
        "format('INDEX %I ON %I.%I ', x.relname, CAST(:schema AS text), CAST(:name AS text)) AS head "
        "FROM it JOIN pg_index i ON i.indrelid = it.oid JOIN pg_class x ON x.oid = i.indexrelid "
        "WHERE i.indisvalid AND NOT i.indisprimary AND NOT EXISTS (SELECT 1 FROM pg_constraint k "
        "WHERE k.conindid = x.oid AND k.conrelid = it.oid AND k.contype IN ('p', 'u', 'x')) ORDER BY x.relname",
        table,
    )
    made = [(k.conname, f"ALTER TABLE {new} ADD CONSTRAINT {quote(k.conname)} {k.written}") for k in keys]
    for index in indexes:
        unique, rest = "UNIQUE " if index.indisunique else "", index.written.partition(index.head)[2]
        made.append((index.relname, f"CREATE {unique}INDEX {quote(index.relname)} ON {new} {rest}"))
    return made


def carried_over(dialect: Dialect, connection: Connection, table: TableId, shadow: TableId) -> Iterator[str]:
    """Statements that give the shadow the table's owner, grants, options, comments, and the numbers its identities have
    reached."""
    new = dialect.table(shadow)
    owner, options = _rows(
        connection,
        f"WITH it AS ({_THE_TABLE}) SELECT pg_get_userbyid(it.relowner), (SELECT json_agg(json_build_array("
        "o.prefix || o.option_name, o.option_value)) FROM (SELECT '' AS prefix, (pg_options_to_table(it.reloptions)).* "
        "UNION ALL SELECT 'toast.', (pg_options_to_table(t.reloptions)).* FROM pg_class t WHERE t.oid = "
        "it.reltoastrelid) o) FROM it",
        table,
    )[0]
    if (
        owner
        != _rows(connection, f"WITH it AS ({_THE_TABLE}) SELECT pg_get_userbyid(it.relowner) FROM it", shadow)[0][0]
    ):
        yield f"ALTER TABLE {new} OWNER TO {dialect.quote(owner)}"
    if options:
        yield f"ALTER TABLE {new} SET ({', '.join(f'{name} = {quoted(value)}' for name, value in options)})"
    yield from _comments(dialect, connection, table, shadow)
    yield from _grants(dialect, connection, table, shadow, f"TABLE {new}")
    identities = dict(identity_sequences(connection, shadow))
    for column, sequence in identity_sequences(connection, table):
        if column in identities:
            yield from _same_sequence(dialect, connection, sequence, identities[column])


def _comments(dialect: Dialect, connection: Connection, table: TableId, shadow: TableId) -> Iterator[str]:
    """Of the table, its columns, indexes and constraints, where the shadow's has none of its own."""
    query = (
        f"WITH it AS ({_THE_TABLE}) SELECT 'TABLE' AS kind, '' AS name, obj_description(it.oid, 'pg_class') AS comment "
        "FROM it UNION ALL SELECT 'COLUMN', a.attname, col_description(it.oid, a.attnum) FROM it JOIN pg_attribute a "
        "ON a.attrelid = it.oid AND a.attnum > 0 AND NOT a.attisdropped UNION ALL SELECT 'INDEX', x.relname, "
        "obj_description(x.oid, 'pg_class') FROM it JOIN pg_index i ON i.indrelid = it.oid JOIN pg_class x "
        "ON x.oid = i.indexrelid UNION ALL SELECT 'CONSTRAINT', k.conname, obj_description(k.oid, 'pg_constraint') "
        "FROM it JOIN pg_constraint k ON k.conrelid = it.oid"
    )
    new, quote = dialect.table(shadow), dialect.quote
    has = {(row.kind, row.name): row.comment for row in _rows(connection, query, shadow)}
    for kind, name, comment in _rows(connection, query, table):
        if comment is None or has.get((kind, name), "") is not None:
            continue
        what = {
            "TABLE": new,
            "COLUMN": f"{new}.{quote(name)}",
            "INDEX": dialect.table(TableId(shadow.schema, name)),
            "CONSTRAINT": f"{quote(name)} ON {new}",
        }[kind]
        yield f"COMMENT ON {kind} {what} IS {quoted(comment)}"


def _grants(dialect: Dialect, connection: Connection, old: TableId, new: TableId, what: str) -> Iterator[str]:
    """The same grants, those of columns too; nothing that default privileges have granted. Their grantor is the owner
    from now on."""
    query = (
        f"WITH it AS ({_THE_TABLE}) SELECT '' AS of_column, g.privilege_type, g.is_grantable, CASE WHEN g.grantee <> 0 "
        "THEN pg_get_userbyid(g.grantee) END AS grantee FROM it CROSS JOIN LATERAL aclexplode(coalesce(it.relacl, "
        "acldefault(CASE it.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", it.relowner))) g UNION ALL "
        "SELECT a.attname, g.privilege_type, g.is_grantable, CASE WHEN g.grantee <> 0 THEN pg_get_userbyid(g.grantee) "
        "END FROM it JOIN pg_attribute a ON a.attrelid = it.oid AND NOT a.attisdropped CROSS JOIN LATERAL "
        "aclexplode(a.attacl) g"
    )
    wanted, there = _rows(connection, query, old), _rows(connection, query, new)
    if sorted(map(repr, wanted)) == sorted(map(repr, there)):
        return

    def role(name: str | None) -> str:
        return "PUBLIC" if name is None else dialect.quote(name)

    for grantee in sorted({role(row.grantee) for row in there}):
        yield f"REVOKE ALL ON {what} FROM {grantee}"
    columns = _rows(
        connection,
        f"WITH it AS ({_THE_TABLE}) SELECT a.attname FROM it JOIN pg_attribute a ON a.attrelid = it.oid",
        new,
    )
    names = {"", *(row[0] for row in columns)}
    for row in wanted:
        if row.of_column in names:
            column = f" ({dialect.quote(row.of_column)})" if row.of_column else ""
            option = " WITH GRANT OPTION" if row.is_grantable else ""
            yield f"GRANT {row.privilege_type}{column} ON {what} TO {role(row.grantee)}{option}"


# -- sequences and names ------------------------------------------------------------------------------------------


def identity_sequences(connection: Connection, table: TableId) -> list[tuple[str, TableId]]:
    """Columns that are identities, with the sequences that number them."""
    query = (
        f"WITH it AS ({_THE_TABLE}) SELECT a.attname, n.nspname, s.relname FROM it JOIN pg_depend d ON d.refobjid = "
        "it.oid AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_class'::regclass AND d.deptype = 'i' "
        "JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace n ON n.oid = s.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = it.oid AND a.attnum = d.refobjsubid ORDER BY a.attnum"
    )
    return [(row[0], TableId(row[1], row[2])) for row in _rows(connection, query, table)]


def _same_sequence(dialect: Dialect, connection: Connection, old: TableId, new: TableId) -> Iterator[str]:
    name = dialect.table(new)
    last, is_called = connection.exec_driver_sql(f"SELECT last_value, is_called FROM {dialect.table(old)}").one()
    if is_called:
        yield f"SELECT setval({quoted(name)}::regclass, greatest({last}, last_value)) FROM {name}"
    yield from _grants(dialect, connection, old, new, f"SEQUENCE {name}")


def own_sequences(dialect: Dialect, connection: Connection, table: TableId, shadow: TableId) -> list[tuple[str, str]]:
    """The sequences of serial columns, by their qualified names, and the columns of the shadow that they number too."""
    query = (
        f"WITH it AS ({_THE_TABLE}) SELECT n.nspname, s.relname, a.attname FROM it JOIN pg_depend d ON d.refobjid = "
        "it.oid AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_class'::regclass AND d.deptype = 'a' "
        "JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace n ON n.oid = s.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = it.oid AND a.attnum = d.refobjsubid WHERE EXISTS (SELECT 1 FROM "
        "pg_depend u JOIN pg_attrdef f ON u.classid = 'pg_attrdef'::regclass AND u.objid = f.oid JOIN pg_class m "
        "ON m.oid = f.adrelid JOIN pg_namespace o ON o.oid = m.relnamespace WHERE u.refobjid = s.oid "
        "AND o.nspname = :shadow_schema AND m.relname = :shadow_name)"
    )
    names = {"shadow_schema": shadow.schema, "shadow_name": shadow.name}
    found = _rows(connection, query, table, **names)
    return [(dialect.table(TableId(row[0], row[1])), row[2]) for row in found]


def renamed(dialect: Dialect, connection: Connection, table: TableId, shadow: TableId) -> list[str]:
    """Statements that give what the server has named in the shadow the names which it has in the table."""
    query = (
        f"WITH it AS ({_THE_TABLE}) SELECT k.conname FROM it JOIN pg_constraint k ON k.conrelid = it.oid "
        "WHERE k.contype = 'p'"
    )
    new, quote, statements = dialect.table(shadow), dialect.quote, []
    for old, other in zip(_rows(connection, query, table), _rows(connection, query, shadow), strict=False):
        if old[0] != other[0]:
            statements.append(
                f"ALTER TABLE {new} RENAME CONSTRAINT {dialect.quote(other[0])} TO {dialect.quote(old[0])}"
            )
    mine = dict(identity_sequences(connection, shadow))
    for column, sequence in identity_sequences(connection, table):
        if column in mine and mine[column].name != sequence.name:
            statements.append(f"ALTER SEQUENCE {dialect.table(mine[column])} RENAME TO {quote(sequence.name)}")
    return statements


def _rows(connection: Connection, query: str, table: TableId, **values: str) -> Sequence[Any]:
    names = {"schema": table.schema, "name": table.name, **values}
    return connection.execute(text(query), names).all()
