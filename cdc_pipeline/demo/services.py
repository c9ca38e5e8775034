"""Dagster: its processes, and what the demo asks of them over GraphQL, as the UI itself does."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import requests

from cdc_pipeline.config import FOLDER_VARIABLE
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.local import ports, processes
from cdc_pipeline.local.site import Report, Site, demos_replications

INSTANCE_FILE = Path(__file__).resolve().parents[2] / "dagster.yaml"
DEFINITIONS = "cdc_pipeline.definitions"
ANSWER_WITHIN, RUNS_END_WITHIN, END_WITHIN = (within * processes.PATIENCE for within in (30.0, 15.0, 20.0))
RUN_LAUNCHED_WITHIN = 60.0 * processes.PATIENCE  # Dagster's own measure
REST_ENDS_WITHIN = 5.0  # code servers have nothing to lose, but may take ten seconds to see it
FINISHED = {"SUCCESS", "FAILURE", "CANCELED"}

LOADED = """{ workspaceOrError { __typename ... on PythonError { message } ... on Workspace { locationEntries {
    loadStatus locationOrLoadError { __typename ... on PythonError { message } } } } } }"""
ASSET = """query ($path: [String!]!) { assetNodeOrError(assetKey: {path: $path}) { ... on AssetNode {
    description partitionKeys repository { name location { name } } } } }"""
LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } } } }"""
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
ERRORS = """query ($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events { __typename
    ... on ExecutionStepFailureEvent { error { message } failureMetadata { metadataEntries { label
        ... on TextMetadataEntry { text } } } } ... on RunFailureEvent { message } } } } }"""
RUNS = (
    "query ($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results { runId status jobName } } } }"
)
TERMINATE = "mutation ($ids: [String!]!) { terminateRuns(runIds: $ids) { __typename } }"


class Dagster:
    """One instance with a history of its own: webserver, daemon and code server, started as `dagster dev`."""

    def __init__(self, home: Path, port: int | None, report: Report) -> None:
        self.home = home
        self.report = report
        if port is not None and not ports.is_free(port):
            raise CdcPipelineError(reason=f"Port {port} is in use; leave --port out, and a free one is taken.")
        self._started = False
        self.site = Site(home / "demo", "dagster", {"dagster": port or ports.find_free()}, report)

    @property
    def url(self) -> str:
        return f"http://{ports.LOOPBACK}:{self.site.port}"

    # -- processes ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start with an empty history; return when the replication's definitions are loaded."""
        if self.site.folder.exists():
            shutil.rmtree(self.site.folder)
        self.site.make_files()
        if not INSTANCE_FILE.exists():
            raise CdcPipelineError(reason=f"{INSTANCE_FILE} is not there; run the demo from a checkout.")
        (self.site.folder / "dagster.yaml").write_text(_patient(INSTANCE_FILE.read_text()))
        processes.spawn(
            self.site,
            [sys.executable, "-m", "dagster", "dev", "--host", ports.LOOPBACK, "--port", str(self.site.port),
             "--module-name", DEFINITIONS],
            env={"DAGSTER_HOME": str(self.site.folder), FOLDER_VARIABLE: str(demos_replications(self.home).resolve()),
                 "DAGSTER_GRPC_TIMEOUT_SECONDS": str(round(RUN_LAUNCHED_WITHIN))},
        )  # fmt: skip
        processes.wait_until_ready(self.site, self._has_loaded)
        self._started = True

    def _has_loaded(self) -> bool:
        """Whether the webserver answers and knows the definitions. Raises what keeps them from loading."""
        try:
            workspace = self.ask(LOADED)["workspaceOrError"]
        except requests.RequestException:
            return False
        entries = workspace.get("locationEntries") or []
        for found in (workspace, *(entry["locationOrLoadError"] or {} for entry in entries)):
            if found.get("__typename") == "PythonError":
                raise CdcPipelineError(reason=f"Dagster cannot load {DEFINITIONS}: {found['message'].strip()}")
        return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)

    def require_health(self) -> None:
        if processes.running(self.site) is None:
            raise CdcPipelineError(reason=f"Dagster has ended. {processes.log_tail(self.site)}")

    def end(self) -> None:
        """End its runs, then every process that it started. Harmless if there is none.

        `dagster dev` leaves its code server and its runs alone when it is ended with work under way; they are found
        by the session, which is theirs alone: the one that its first process was given.
        """
        leader = self._leader()
        if self._started:
            self._terminate_runs()
        was_running = processes.end(self.site, signal.SIGINT, END_WITHIN)
        for number in (signal.SIGTERM, signal.SIGKILL):
            rest = list(self._session(leader))
            for process in rest:
                # psutil looks first whether it is the same process still.
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            psutil.wait_procs(rest, REST_ENDS_WITHIN)
        self._started = False
        if was_running:
            self.report("dagster: ended")

    def _leader(self) -> int | None:
        """The pid of `dagster dev`, as it was recorded when it was started, whether it lives or not."""
        record = self.site.folder / "process.json"
        return json.loads(record.read_text())["pid"] if record.exists() else None

    def _session(self, leader: int | None) -> Iterator[psutil.Process]:
        """The living processes of the session that `leader` opened, who may be gone. Since a number may have been
        given anew, only those count that know this instance's folder."""
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.Error):
                ours = os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE
                if ours and process.environ().get("DAGSTER_HOME") == str(self.site.folder):
                    yield process

    def _terminate_runs(self) -> None:
        """Ask the active runs to end, and wait for it a while: a consumer rolls back and says goodbye."""
        deadline = time.monotonic() + RUNS_END_WITHIN
        try:
            active = [run["runId"] for run in self.runs() if run["status"] not in FINISHED]
            if not active:  # which Dagster would answer with an error 500
                return
            self.ask(TERMINATE, ids=active)
            while time.monotonic() < deadline and any(self.status(run) not in FINISHED for run in active):
                time.sleep(0.2)
        except (requests.RequestException, CdcPipelineError) as error:
            self.report(f"dagster: its runs could not be asked to end ({type(error).__name__}); they are ended with it")

    # -- what it is asked ---------------------------------------------------------------------------------------

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        response = requests.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=ANSWER_WITHIN
        )
        response.raise_for_status()
        answer = response.json()
        if answer.get("errors"):
            raise CdcPipelineError(reason=f"Dagster refused a query: {answer['errors'][0]['message']}")
        return answer["data"]

    def launch_copy(self, replication: str) -> str:
        """Materialize every partition of the asset `initial_copy`, in one run; returns the run's id.

        A run with these two tags is what the UI launches for "all partitions" of an asset with a single-run backfill
        policy, without the half minute that the backfill daemon may take to notice.
        """
        key = [replication, "initial_copy"]
        asset = self.ask(ASSET, path=key)["assetNodeOrError"]
        if not asset:
            broken = self.ask(ASSET, path=[replication, "broken"])["assetNodeOrError"]
            problem = broken.get("description") or f"there is no asset {'/'.join(key)}"
            raise CdcPipelineError(reason=f"Dagster cannot load the replication {replication}: {problem}")
        first, last = asset["partitionKeys"][0], asset["partitionKeys"][-1]
        repository = asset["repository"]
        params = {
            "selector": {
                "repositoryName": repository["name"],
                "repositoryLocationName": repository["location"]["name"],
                "jobName": f"{replication}_initial_copy",
                "assetSelection": [{"path": key}],
            },
            "executionMetadata": {
                "tags": [
                    {"key": "dagster/asset_partition_range_start", "value": first},
                    {"key": "dagster/asset_partition_range_end", "value": last},
                ]
            },
        }
        launched = self.ask(LAUNCH, params=params)["launchRun"]
        if "run" not in launched:
            problems = launched.get("message") or "; ".join(e["message"] for e in launched.get("errors", []))
            raise CdcPipelineError(reason=f"Dagster did not launch the copy: {problems or launched['__typename']}")
        return launched["run"]["runId"]

    def runs(self, **filters: object) -> list[dict[str, str]]:
        """Runs, the latest first."""
        return self.ask(RUNS, filter=filters)["runsOrError"]["results"]

    def status(self, run_id: str) -> str:
        return self.ask(STATUS, id=run_id)["runOrError"]["status"]

    def problem(self, run_id: str) -> str:
        """Why a run failed, in the words of its first failed step."""
        events = self.ask(ERRORS, id=run_id)["logsForRun"]["events"]
        lines = []
        for event in events:
            if event["__typename"] == "ExecutionStepFailureEvent":
                message = (event["error"] or {}).get("message", "").strip()
                lines.append(re.sub(r"^[\w.]+: ", "", message))  # the class of the exception
                entries = (event["failureMetadata"] or {}).get("metadataEntries", [])
                lines += [f"  {entry['label']}: {entry['text']}" for entry in entries if "text" in entry]
        lines = lines or [event["message"] for event in events if event["__typename"] == "RunFailureEvent"]
        return "\n".join(lines) or "it does not say why"


def _patient(instance: str) -> str:
    """Let a slow machine take longer until a run has started or ended."""
    return re.sub(
        r"(?<=start_timeout_seconds: |ancel_timeout_seconds: )\d+",
        lambda seconds: str(round(int(seconds[0]) * processes.PATIENCE)),
        instance,
    )
