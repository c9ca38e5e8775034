"""Settings of the servers, by their own catalogues, and what becomes of each: tried, or left alone for a reason.

A test asks real servers for their catalogues: each name has a decision here, so that a new version's new settings are
decided when they come. Left alone is what changes neither what a log holds nor how a value is written or read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tried:
    """`values` are tried in the session that writes, in all sessions of the source's or the target's database
    (PostgreSQL), or in all of the server (`everywhere`, which disrupts)."""

    session: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    everywhere: tuple[str, ...] = ()
    known: str = ""
    loss: str = ""
    since: tuple[int, ...] = field(default=())


def _both(*values: str, known: str = "") -> Tried:
    return Tried(values, values, values, known=known)


_PINNED = "a setting that a type's output function reads is not stated by the connector's session"
POSTGRESQL: Mapping[str, Tried] = {
    "DateStyle": _both("'SQL, DMY'", "'German'", "'Postgres, MDY'"),
    "IntervalStyle": Tried(
        ("'sql_standard'",),
        ("'sql_standard'", "'iso_8601'", "'postgres_verbose'"),
        ("'sql_standard'", "'iso_8601'"),
        known=_PINNED,
    ),
    "TimeZone": _both("'Asia/Kolkata'", "'America/St_Johns'", "'Europe/Berlin'"),
    "client_encoding": Tried(
        (),
        ("'LATIN1'", "'EUC_JP'"),
        ("'LATIN1'",),
        known="texts are garbled where a login has another encoding than UTF8",
    ),
    "extra_float_digits": _both("0", "-15"),
    "lc_messages": Tried((), ("'C'",), ("'C'",)),
    "lc_monetary": _both("'C'"),
    "lc_numeric": _both("'C'"),
    "default_text_search_config": _both("'english'"),
    "bytea_output": _both("'escape'"),
    "xmlbinary": _both("'hex'"),
    "xmloption": _both("'document'"),
    "search_path": Tried((), ("''", "'pg_catalog'", "'nowhere, public'"), ("''", "'nowhere, public'")),
    "session_replication_role": Tried(("'replica'",), (), ("'replica'",)),
    "row_security": Tried((), ("off",), ("off",)),
    "statement_timeout": Tried((), ("'900ms'",), ("'900ms'",), known="a login's time limits end Debezium's sessions"),
    "transaction_timeout": Tried((), ("'2s'",), ("'2s'",), known="a login's time limits end Debezium's sessions"),
    "idle_in_transaction_session_timeout": Tried((), ("'2s'",), ("'2s'",)),
    "idle_session_timeout": Tried((), ("'2s'",), ("'2s'",), known="a login's time limits end Debezium's sessions"),
    "lock_timeout": Tried((), ("'50ms'",), ("'50ms'",)),
    "default_transaction_isolation": _both("'serializable'", "'repeatable read'"),
    "default_transaction_read_only": Tried((), ("on",), ()),
    "default_transaction_deferrable": _both("on"),
    "default_table_access_method": Tried((), ("'heap'",), ()),
    "default_toast_compression": _both("'pglz'"),
    "array_nulls": _both("off"),
    "backslash_quote": _both("on"),
    "quote_all_identifiers": Tried((), ("on",), ("on",), known="all names in quotes: types are not understood"),
    "standard_conforming_strings": Tried((), ("off",), ("off",)),
    "escape_string_warning": Tried((), ("off",), ()),
    "transform_null_equals": _both("on"),
    "synchronize_seqscans": Tried((), ("off",), ()),
    "synchronous_commit": _both("off", "local"),
    "logical_decoding_work_mem": Tried((), ("'64kB'",), ()),
    "debug_logical_replication_streaming": Tried((), ("'immediate'",), ()),
    "wal_sender_timeout": Tried((), ("'1s'",), ()),
    "wal_compression": Tried((), ("'pglz'",), ()),
    "debug_discard_caches": Tried((), (), ()),
    "debug_parallel_query": Tried((), ("'regress'",), ("'regress'",)),
    "plan_cache_mode": Tried((), ("'force_generic_plan'",), ("'force_custom_plan'",)),
    "enable_seqscan": Tried((), ("off",), ("off",)),
    "enable_partition_pruning": Tried((), ("off",), ()),
    "constraint_exclusion": Tried((), ("on",), ()),
    "check_function_bodies": Tried((), ("off",), ()),
    "application_name": Tried((), ("'%s {} it''s'",), ()),
    "icu_validation_level": Tried((), ("'disabled'",), ()),
    "client_min_messages": Tried((), ("'debug5'",), ("'debug5'",)),
}

# By category, as pg_settings has it; names that stand above are tried although their category is here.
POSTGRESQL_LEFT: Mapping[str, str] = {
    "Autovacuum|Vacuuming": "when dead rows go, not what is there",
    "Client Connection Defaults / Locale and Formatting": "what is not tried are names of days and zones",
    "Client Connection Defaults / Other Defaults|Client Connection Defaults / Shared": "where libraries are",
    "Client Connection Defaults / Statement Behavior": "what is not tried says where tables lie, or who may do what",
    "Connections and Authentication": "who gets in",
    "Developer Options": "for those who develop the server",
    "Error Handling|File Locations|Lock Management|Preset Options": "fixed at the start, or about failures of disks",
    "Query Tuning": "how a result is found, not which it is",
    "Replication|Write-Ahead Log": "fixed at the start, or about copies of the whole server",
    "Reporting and Logging|Statistics": "what is said about the work",
    "Resource Usage": "how fast it is",
    "Version and Platform": "what is not tried is about large objects and ALTER SYSTEM",
}

MYSQL: Mapping[str, Tried] = {
    "sql_mode": Tried(
        (
            "''",
            "'ANSI_QUOTES,PIPES_AS_CONCAT'",
            "'PAD_CHAR_TO_FULL_LENGTH'",
            "'NO_BACKSLASH_ESCAPES'",
            "'TIME_TRUNCATE_FRACTIONAL'",
            "'NO_AUTO_VALUE_ON_ZERO'",
            "'TRADITIONAL'",
            "'REAL_AS_FLOAT'",
        ),
        everywhere=("'PAD_CHAR_TO_FULL_LENGTH'", "'ANSI,NO_BACKSLASH_ESCAPES'", "''", "'TRADITIONAL'"),
    ),
    "time_zone": Tried(("'+14:00'", "'-09:30'"), everywhere=("'+05:45'",)),
    "binlog_row_image": Tried(("'MINIMAL'", "'NOBLOB'"), everywhere=("'MINIMAL'",)),
    "binlog_row_metadata": Tried(everywhere=("'MINIMAL'",)),
    "binlog_row_value_options": Tried(everywhere=("'PARTIAL_JSON'",)),
    "binlog_format": Tried(("'STATEMENT'", "'MIXED'"), loss="statement_format"),
    "binlog_rows_query_log_events": Tried(("1",), everywhere=("1",)),
    "binlog_transaction_compression": Tried(
        ("1",), everywhere=("1",), since=(8, 0, 20), known="events of a compressed transaction have one position"
    ),
    "binlog_checksum": Tried(everywhere=("'NONE'",)),
    "binlog_group_commit_sync_delay": Tried(everywhere=("200000",)),
    "binlog_order_commits": Tried(everywhere=("0",)),
    "binlog_direct_non_transactional_updates": Tried(("1",)),
    "binlog_transaction_dependency_tracking": Tried(everywhere=("'WRITESET'",)),
    "sql_log_bin": Tried(("0",)),
    "gtid_next": Tried(("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11:⟨run⟩'",)),
    "character_set_connection": Tried(("'latin1'", "'utf16'"), everywhere=("'latin1'",)),
    "character_set_results": Tried(everywhere=("'latin1'",)),
    "character_set_server": Tried(everywhere=("'latin1'",)),
    "collation_connection": Tried(("'utf8mb4_bin'", "'latin1_german1_ci'")),
    "collation_server": Tried(everywhere=("'utf8mb4_bin'",)),
    "default_collation_for_utf8mb4": Tried(("'utf8mb4_general_ci'",), everywhere=("'utf8mb4_general_ci'",)),
    "explicit_defaults_for_timestamp": Tried(("0",), everywhere=("0",)),
    "auto_increment_increment": Tried(("7",), everywhere=("7",)),
    "auto_increment_offset": Tried(("3",)),
    "foreign_key_checks": Tried(("0",)),
    "unique_checks": Tried(("0",)),
    "completion_type": Tried(("1",), everywhere=("1",)),
    "transaction_isolation": Tried(("'READ-UNCOMMITTED'", "'SERIALIZABLE'"), everywhere=("'SERIALIZABLE'",)),
    "autocommit": Tried(everywhere=("0",)),
    "timestamp": Tried(("1000000000.5",)),
    "insert_id": Tried(("77",)),
    "div_precision_increment": Tried(("30",)),
    "group_concat_max_len": Tried(("4",), everywhere=("4",)),
    "lc_time_names": Tried(("'de_DE'",)),
    "innodb_strict_mode": Tried(("0",)),
    "innodb_lock_wait_timeout": Tried(everywhere=("1",)),
    "lock_wait_timeout": Tried(everywhere=("1",)),
    "innodb_autoinc_lock_mode": Tried(),
    "default_storage_engine": Tried(("'MyISAM'",)),
    "sql_auto_is_null": Tried(("1",), everywhere=("1",)),
    "sql_big_selects": Tried(everywhere=("0",)),
    "sql_buffer_result": Tried(everywhere=("1",)),
    "sql_select_limit": Tried(everywhere=("5",)),
    "max_join_size": Tried(everywhere=("10",)),
    "sql_safe_updates": Tried(("1",), everywhere=("1",)),
    "sql_require_primary_key": Tried(everywhere=("1",), known="a target that asks for keys is read only"),
    "sql_generate_invisible_primary_key": Tried(("1",), since=(8, 0, 30)),
    "restrict_fk_on_non_standard_key": Tried(("0",), since=(8, 4)),
    "sql_quote_show_create": Tried(everywhere=("0",)),
    "max_execution_time": Tried(everywhere=("40",)),
    "max_sort_length": Tried(everywhere=("4",)),
    "net_write_timeout": Tried(everywhere=("1",)),
    "net_read_timeout": Tried(everywhere=("1",)),
    "wait_timeout": Tried(everywhere=("2",)),
    "old_alter_table": Tried(("1",)),
    "show_old_temporals": Tried(everywhere=("1",)),
    "rbr_exec_mode": Tried(("'IDEMPOTENT'",)),
    "original_commit_timestamp": Tried(("1000000000000000",)),
    "init_connect": Tried(
        everywhere=("'SET SESSION sql_select_limit = 2'",), known="a server's settings reach our sessions"
    ),
    "local_infile": Tried(everywhere=("0",)),
    "read_only": Tried(everywhere=("1",)),
    "require_secure_transport": Tried(everywhere=("1",)),
    "session_track_gtids": Tried(everywhere=("'OWN_GTID'",)),
    "information_schema_stats_expiry": Tried(everywhere=("0",)),
    "windowing_use_high_precision": Tried(everywhere=("0",)),
    "optimizer_switch": Tried(everywhere=("'derived_merge=off,materialization=off'",)),
    "cte_max_recursion_depth": Tried(everywhere=("2",)),
    "internal_tmp_mem_storage_engine": Tried(everywhere=("'MEMORY'",)),
    "updatable_views_with_limit": Tried(("0",)),
    "big_tables": Tried(("1",)),
    "low_priority_updates": Tried(("1",)),
    "end_markers_in_json": Tried(everywhere=("1",)),
    "default_week_format": Tried(("3",)),
    "block_encryption_mode": Tried(("'aes-256-cbc'",)),
    "use_secondary_engine": Tried(("0",)),
}

# Patterns of names; those above are tried although they match.
MYSQL_LEFT: Sequence[tuple[str, str]] = (
    ("innodb_.*|myisam_.*|key_.*|bulk_insert_.*|concurrent_insert", "how an engine keeps rows"),
    ("flush.*|delay.*|max_delayed.*|keep_files.*", "how an engine keeps rows"),
    ("performance_schema.*|profiling.*|general_log.*|slow_.*|log_.*", "what is said about the work"),
    ("long_query_time|min_examined.*|histogram.*", "what is said about the work"),
    (".*_size|.*_cache.*|.*_instances|.*buffer.*|thread.*|back_log", "how fast it is"),
    ("open_files_limit|table_open.*|temptable.*|.*connection_memory.*|container_aware", "how fast it is"),
    ("slave_.*|relay_.*|rpl_.*|sync_.*|master_.*|init_slave", "of a server that copies another one"),
    ("report_.*|sql_slave.*|replica_.*|source_.*|group_rep.*", "of a server that copies another one"),
    ("init_replica|sql_replica.*|replication_.*|require_row_format", "of a server that copies another one"),
    ("ssl_.*|sha256.*|caching_sha2.*|mysql_native.*|tls_.*", "who gets in"),
    ("password_.*|default_auth.*|default_password.*|.*proxy.*|.*authentication.*", "who gets in"),
    ("version.*|hostname|port|socket|.*dir|pid_file|.*_address", "about the server itself"),
    ("build_id|statement_id|terminology_.*|explain_.*|protocol_compression.*", "about the server itself"),
    (".*secondary_engine_.*|external_table_.*", "of tables that are kept elsewhere, which no log has"),
    (".*table_encryption.*", "how an engine keeps rows"),
    ("enable_cascade_triggers", "whether triggers run, whose changes the log has like others"),
    ("have_.*|license|protocol_version|identity|large_.*|server_.*", "about the server itself"),
    ("system_time_zone|basedir|core_file|external_user|.*_port", "about the server itself"),
    ("warning_count|error_count|last_insert_id|rand_seed.*|hostname", "what the last statement did"),
    ("ft_.*|ngram.*|optimizer_.*|eq_range.*|range_.*|max_seeks.*", "how a result is found"),
    ("max_length_for_sort.*|old|new|regexp_.*", "how a result is found"),
    ("max_.*|connect_timeout|interactive_timeout|net_retry.*", "limits that end a statement with an error"),
    ("gtid_.*|enforce_gtid.*|binlog_.*|expire_logs.*|immediate_server.*", "set by servers that copy, or fixed here"),
    ("original_server.*|transaction_.*|pseudo_.*|sql_log_off|skip_.*", "set by servers that copy, or fixed here"),
    ("character_.*|lower_case.*|collation_database|default_tmp.*", "of names, or of what is temporary"),
    ("disabled_storage.*|internal_tmp.*", "of names, or of what is temporary"),
    ("activate_.*|admin.*|auto_generate.*|automatic_sp.*|avoid_temporal.*", "roles, notes, files and plug-ins"),
    ("check_proxy.*|create_admin.*|disconnect_on.*|event_scheduler", "roles, notes, files and plug-ins"),
    (
        "init_file|keyring_operations|lc_messages|locked_in.*|mandatory_roles|mysqlx.*|offline_mode",
        "roles, notes, files and plug-ins",
    ),
    ("parser.*|persist.*|partial_revokes|print_.*|resultset_.*|secure_.*", "roles, notes, files and plug-ins"),
    ("session_track.*|show_.*|sql_notes|sql_warnings|ssl.*|stored_.*", "roles, notes, files and plug-ins"),
    ("super_read_only|tablespace.*|unused|generated_random.*|tmpdir", "roles, notes, files and plug-ins"),
    ("select_into_.*|xa_detach.*|.*_telemetry.*|telemetry.*|component.*", "roles, notes, files and plug-ins"),
)


def decision(family: str, name: str, category: str = "") -> str:
    """What becomes of a setting; empty if nobody has decided."""
    if name in (POSTGRESQL if family == "postgresql" else MYSQL):
        return "tried"
    if family == "postgresql":
        return next((reason for pattern, reason in POSTGRESQL_LEFT.items() if re.match(pattern, category)), "")
    return next((reason for pattern, reason in MYSQL_LEFT if re.fullmatch(pattern, name)), "")
