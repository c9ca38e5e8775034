"""What the README tells a person to do in Dagster, done in a real browser while the demo runs; and its pictures."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from cdc_pipeline.demo import shop
from cdc_pipeline.local.command import local
from cdc_pipeline_tests.browser import DagsterUi, dagster_ui
from cdc_pipeline_tests.demo import STREAMS, RunningDemo

# One demo at a time: its databases and its replication have names of their own.
pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("stack"), pytest.mark.group("demo")]

COPY = "/assets/shop/initial_copy"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of Dagster's UI, where a demo streams."""
    demo = RunningDemo("--rate", "20")
    reader = threading.Thread(target=demo.wait)  # it goes on telling until it ends
    try:
        assert any(STREAMS in line for line in demo.lines()), demo.text
        found = re.search(r"http://[\d.]+:\d+", demo.text)
        assert found, demo.text
        reader.start()
        yield found.group()
    finally:
        demo.process.send_signal(signal.SIGINT)
        if reader.ident is None:
            demo.wait()
        else:
            reader.join()
        assert demo.process.stdout is not None
        demo.process.stdout.close()


@pytest.fixture
def ui(address: str) -> Iterator[DagsterUi]:
    with dagster_ui(address) as ui:
        yield ui


def change_target(statement: str) -> str:
    """By hand, past the replication; says how many rows it has changed."""
    done = CliRunner().invoke(local, ["sql", "postgresql/dwh", statement])
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def test_lineage_shows_every_table_on_its_way(ui: DagsterUi) -> None:
    ui.open("/asset-groups/")
    for name in ("initial_copy", "connector", "stream", *shop.TABLES, *(f"shop_{table}" for table in shop.TABLES)):
        ui.see(name)

    ui.open("/assets/target/dwh/shop_orders?view=lineage&lineageScope=upstream")
    for text in ("orders", "initial_copy", "100% filled", "stream", "MySQL", "Kafka", "PostgreSQL"):
        ui.see(text)
    ui.see_all_loaded()
    ui.keep_picture("lineage")


@pytest.mark.deep
def test_a_table_is_materialized(ui: DagsterUi) -> None:
    """It has its rows already, which the stream keeps equal: nothing is copied."""
    ui.open(COPY)
    ui.click("Materialize…")
    ui.page.get_by_text("Select a partition or create one").click()
    ui.choose("addresses")
    ui.page.keyboard.press("Escape")
    ui.launch("Launch 1 run")
    ui.open(f"{COPY}?view=partitions&partition=addresses")
    ui.see("skipped")


@pytest.mark.deep
def test_a_re_sync_is_forced_from_the_launchpad(ui: DagsterUi) -> None:
    ui.open(COPY)
    ui.choose_in_menu_of("Materialize…", "Open launchpad")
    ui.page.get_by_placeholder("Partition", exact=True).click()
    ui.choose("orders")
    ui.see("partition: orders")
    ui.change_config("force_resync: false", "force_resync: true")
    ui.keep_picture("launchpad")
    ui.launch("Materialize")
    ui.open(f"{COPY}?view=partitions&partition=orders")
    ui.see("reloaded")
    assert ui.number("dagster/partition_row_count") > 0
    assert ui.number("rows_per_second") > 0
    ui.keep_picture("initial_copy")


def test_a_wrong_row_is_found_and_mended(ui: DagsterUi) -> None:
    """The story of the README. Nothing in the shop changes an address, so the stream does not mend it by chance."""
    assert change_target("UPDATE shop_addresses SET street = 'Nowhere 1' WHERE id = 7") == "1 row"

    ui.open_check("shop_addresses", "equals_source")
    ui.launch("Execute", ends="Failure")
    ui.open_check("shop_addresses", "equals_source")
    ui.see("Failed")
    assert ui.number("different") == 1
    ui.see("sample_keys")
    ui.keep_picture("check")

    ui.open_job("shop_verify")
    ui.change_config("repair: false", "repair: true")
    ui.launch("Launch Run")
    ui.open_check("shop_addresses", "equals_source")
    ui.see("Passed")
    assert ui.number("mended") == 1
    assert change_target("DELETE FROM shop_addresses WHERE street = 'Nowhere 1'") == "0 rows"


@pytest.mark.deep
def test_a_terminated_consumer_comes_back(ui: DagsterUi) -> None:
    ui.open_runs_of("shop_consume")
    first = ui.open_started_run()
    ui.click("Terminate")
    ui.page.get_by_role("dialog").get_by_role("button", name=re.compile("Terminate")).click()
    ui.see_status("Canceled")
    ui.open_runs_of("shop_consume")
    assert ui.open_started_run() != first
    ui.see(re.compile("STEP 4"))

    ui.open("/assets/shop/stream")
    ui.see("events_per_second")
    ui.click("Plots")
    ui.keep_picture("stream")
