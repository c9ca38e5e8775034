"""A replication in somebody else's Dagster project: `type: cdc_pipeline.ReplicationComponent` in a defs.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import dagster as dg
from pydantic import BaseModel, model_validator

from cdc_pipeline.config import ReplicationConfig
from cdc_pipeline.config.files import from_environment
from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.defs.replications import replication_definitions


class ReplicationAttributes(ReplicationConfig):
    """What a replication file says, and its `name`."""

    @model_validator(mode="before")
    @classmethod
    def _from_environment(cls, data: Any) -> Any:
        return from_environment(data, Path("attributes"), {})


class ReplicationComponent(dg.Component):
    """Keeps tables of one database equal to tables of another: copies, connector, stream, checks and schedules in one
    group of assets. `${NAME}` in any text is taken from the environment."""

    def __init__(self, config: ReplicationConfig) -> None:
        self.config = config

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return ReplicationAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> ReplicationComponent:  # noqa: ARG003
        return cls(cast(ReplicationConfig, attributes))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return replication_definitions(Lineage.of(self.config))
