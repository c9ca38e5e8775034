"""Tables that change in the source while they stream: synced again, live, beside the consumer.

That is right for whatever has changed: a column added (with whatever default its old rows got), dropped, renamed, of
another type; no log tells all of it. Until the new table is swapped in, the consumer streams into the old one as long
as it can, and all other tables go on anyway. A new table is copied in the same way.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import TableId

log = logging.getLogger("cdc_pipeline")
GRACE_SECONDS = 10.0  # for a copy that is under way when the consumer ends; the next one begins it anew


@dataclass
class Changes:
    """How the source differs from what was copied. `selected` is every table in it that the owner asks for now;
    `refused` are new ones that cannot be taken up."""

    selected: set[TableId] = field(default_factory=set)
    changed: set[TableId] = field(default_factory=set)
    new: set[TableId] = field(default_factory=set)
    refused: dict[TableId, CdcPipelineError] = field(default_factory=dict)
    gone: dict[TableId, CdcPipelineError] = field(default_factory=dict)


class Evolution:
    """`look` asks the source for changes; `copy` copies one table, again or for the first time, and returns what went
    wrong. One copy at a time, in a thread that ends with the process: a re-sync may be killed anywhere. Where tables
    shall stop instead (`copies` is false), `look` tells changed ones as gone."""

    def __init__(
        self, look: Callable[[], Changes], copy: Callable[[TableId], CdcPipelineError | None], *, copies: bool
    ) -> None:
        self.look = look
        self.copies = copies
        self._copy = copy
        self._lock = threading.Lock()
        self._waiting: list[TableId] = []
        self._ended: dict[TableId, CdcPipelineError | None] = {}
        self._failed: dict[TableId, CdcPipelineError] = {}
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        return self._thread is not None or bool(self._ended)

    def begin(self, table: TableId, *, once: bool = False) -> None:
        """Copy this table soon. Harmless if that is under way; with `once`, not if it has failed before."""
        with self._lock:
            if table not in self._waiting and not (once and table in self._failed):
                self._waiting.append(table)
            if self._waiting and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="evolution", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                table = self._waiting[0]
            try:
                error = self._copy(table)
            except Exception as defect:  # else nothing would ever be copied again, and nobody would know why
                log.exception("%s could not be copied", table)
                error = CdcPipelineError(reason=f"{table} could not be copied: {defect!r}")
            with self._lock:
                self._waiting.remove(table)
                self._ended[table] = error
                if error is None:
                    self._failed.pop(table, None)
                else:
                    self._failed[table] = error

    def failed(self) -> Mapping[TableId, CdcPipelineError]:
        """The tables whose last copy failed, and why."""
        with self._lock:
            return dict(self._failed)

    def ended(self) -> Mapping[TableId, CdcPipelineError | None]:
        """The copies that ended since the last call, with what went wrong."""
        with self._lock:
            ended, self._ended = self._ended, {}
        return ended

    def close(self) -> None:
        thread = self._thread
        if thread is not None:
            thread.join(GRACE_SECONDS)
