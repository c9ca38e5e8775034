"""Dagster's pages in a headless Chromium, driven as a person would: by what is written on them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect, sync_playwright

from cdc_pipeline.local import debian, tools

PATIENCE_SECONDS = 120
SIZE = {"width": 1440, "height": 900}
# As root Chromium has no sandbox; and it shall not look for anything outside.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Where pictures are kept (`make screenshots`); without it they are taken and thrown away.
PICTURES = "CDC_PIPELINE_SCREENSHOTS"
LARGEST_PICTURE = 200_000
_RUN = re.compile("/runs/[0-9a-f-]{36}")


def chromium() -> tuple[Path, dict[str, str]]:
    """The program that $CHROMIUM names, the machine's or the cache's, and the environment that it needs."""
    found = tools.find_chromium()
    assert found, "There is no Chromium: `make test` gets one, or say where it is with CHROMIUM=/path/to/it"
    for tree in debian.fetched():
        if found.is_relative_to(tree.folder):
            return found, {**os.environ, **tree.environment, "FONTCONFIG_SYSROOT": str(tree.folder)}
    return found, dict(os.environ)


@contextmanager
def dagster_ui(url: str) -> Iterator[DagsterUi]:
    with sync_playwright() as playwright:
        program, environment = chromium()
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS, env=environment)  # type: ignore[arg-type]
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        expect.set_options(timeout=PATIENCE_SECONDS * 1000)
        try:
            yield DagsterUi(page, url)
        finally:
            browser.close()


class DagsterUi:
    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}{path}")

    def open_job(self, name: str) -> None:
        """Its Launchpad."""
        self.open(f"/locations/cdc_pipeline.definitions/jobs/{name}/playground")

    def open_runs_of(self, job: str) -> None:
        self.open(f"/locations/cdc_pipeline.definitions/jobs/{job}/runs")

    def open_check(self, table: str, check: str) -> None:
        self.open(f"/assets/target/dwh/{table}?view=checks&checkDetail={check}")

    def see(self, text: str | re.Pattern[str]) -> None:
        """Wait until it can be read on the page."""
        expect(self.page.get_by_text(text).filter(visible=True).first).to_be_visible()

    def see_all_loaded(self) -> None:
        expect(self.page.get_by_text("Loading...")).to_have_count(0)

    def click(self, label: str | re.Pattern[str]) -> None:
        self._button(label).click()

    def choose(self, text: str) -> None:
        """In the list that has opened."""
        self.page.get_by_text(text, exact=True).filter(visible=True).last.click()

    def choose_in_menu_of(self, label: str, item: str) -> None:
        """Behind the arrow beside a button. The same words may stand elsewhere on the page, in a description."""
        self._button(label).locator("xpath=following::button[1]").click()
        self.page.get_by_role("menuitem", name=item).click()

    def _button(self, label: str | re.Pattern[str]) -> Locator:
        return self.page.locator("button", has_text=label).filter(visible=True).last

    def change_config(self, old: str, new: str) -> None:
        """In the Launchpad's editor, which keeps its text outside of the page."""
        editor = self.page.locator(".CodeMirror").last
        expect(editor).to_contain_text(old)
        editor.evaluate(
            "(editor, [old, changed]) => "
            "editor.CodeMirror.setValue(editor.CodeMirror.getValue().replace(old, changed))",
            [old, new],
        )
        expect(editor).to_contain_text(new)

    def launch(self, label: str, *, ends: str = "Success") -> None:
        """Click what launches a run; see on its page how it ends. Of some runs Dagster opens it by itself."""
        self.click(label)
        self.see(re.compile("Launched run|View tags and config"))
        if "/runs/" not in self.page.url:
            self.page.get_by_role("link", name="View", exact=True).click()
        self.page.wait_for_url(_RUN)
        self.see_status(ends)

    def open_started_run(self) -> str:
        """The page of the run that is at work, of those in the list that is open; returns its id."""
        row = "//*[text()='Started']/ancestor::*[.//a[starts-with(@href, '/runs/')]][1]"
        self.page.locator(f"xpath={row}").locator("a[href^='/runs/']").first.click()
        self.page.wait_for_url(_RUN)
        return self.page.url.rpartition("/runs/")[2][:36]

    def see_status(self, status: str) -> None:
        """Of the run whose page is open."""
        self.see(re.compile(f"^{status}$"))

    def number(self, label: str) -> float:
        """What stands beside this label in a table of metadata."""
        row = self.page.locator("tr", has=self.page.get_by_text(label, exact=True)).filter(visible=True).first
        found = re.search(r"([\d,.]+)\s*$", row.inner_text())
        assert found, f"{label}: {row.inner_text()}"
        return float(found[1].replace(",", ""))

    def keep_picture(self, name: str) -> None:
        """With so few colours that it is small enough for a README."""
        picture = Image.open(BytesIO(self.page.screenshot(animations="disabled")))
        small = BytesIO()
        picture.convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE).save(small, "PNG", optimize=True)
        assert len(small.getvalue()) < LARGEST_PICTURE, f"{name}: {len(small.getvalue()):,} bytes"
        folder = os.environ.get(PICTURES)
        if folder:
            (Path(folder) / f"{name}.png").write_bytes(small.getvalue())
