"""A real browser without a screen: Debian's Chromium under its own driver, which fetches nothing by itself."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = "chromium", "chromedriver"
_AXE = "axe.min.js"
_PATIENCE = 60
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,900",
)  # fmt: skip


def need_programs(*programs: str, package: str) -> None:
    """Skip the test where one of them is not there; where CI is told to have them all, fail."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    reason = f"needs {' and '.join(missing)} (Debian: {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class Browser:
    """A page in a browser, and what went on there."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def open(self, page: Path) -> None:
        """Open a file, as if for the first time."""
        self.emulate()
        self._driver.get(page.as_uri())
        self.wait("document.readyState === 'complete'")

    def run(self, script: str, *given: Any) -> Any:
        """What a function body returns, run in the page."""
        return self._driver.execute_script(script, *given)

    def wait(self, condition: str) -> None:
        """Until an expression in the page is true; fails after a minute, for machines with much else to do."""
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self._driver, _PATIENCE, poll_frequency=0.02).until(
            lambda _: self.run(f"return Boolean({condition})"), message=condition
        )

    def find(self, selector: str) -> Any:
        """An element that can be clicked and typed into."""
        return self._driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[str]:
        """The texts that a reader sees in these elements; those of hidden ones are left out."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility())"
            ".map((one) => one.innerText.trim())",
            selector,
        )
        return found

    def press(self, key: str) -> None:
        """Press a key, wherever the focus is."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        ActionChains(self._driver).send_keys(getattr(Keys, key)).perform()

    def choose(self, selector: str, text: str) -> None:
        """Choose an option of a list by what it says."""
        from selenium.webdriver.support.select import Select

        Select(self.find(selector)).select_by_visible_text(text)

    def emulate(self, *, width: int = 1280, height: int = 900, scheme: str = "light", media: str = "") -> None:
        """Another screen, colour scheme or medium; without a medium the page is printed as print, shown as screen."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A screenshot as PNG; whole: of the page down to its end."""
        from base64 import b64decode

        options: dict[str, Any] = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self._driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            options["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        path.write_bytes(b64decode(self._driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"]))

    def printed(self) -> bytes:
        """The page as PDF."""
        from base64 import b64decode

        return b64decode(self._driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])

    def console(self) -> list[str]:
        """What the console said since it was last asked."""
        return [entry["message"] for entry in self._driver.get_log("browser")]

    def requests(self) -> set[str]:
        """The addresses that were asked for since this was last asked."""
        events = [json.loads(entry["message"])["message"] for entry in self._driver.get_log("performance")]
        return {one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"}

    def serious_issues(self) -> list[Mapping[str, Any]]:
        """What axe-core finds that is serious or worse, in the page as it stands."""
        self.run(self._axe)
        found = self._driver.execute_async_script(
            "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(done, done);"
        )
        return [
            {"id": one["id"], "help": one["help"], "nodes": [node["html"][:200] for node in one["nodes"][:5]]}
            for one in found["violations"]
            if one["impact"] in {"serious", "critical"}
        ]

    @cached_property
    def _axe(self) -> str:
        found = find_spec("axe_core_python")
        assert found
        assert found.origin
        return (Path(found.origin).parent / _AXE).read_text(encoding="utf-8")


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile. Skips the test where there is none."""
    need_programs(CHROMIUM, DRIVER, package="chromium chromium-driver")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = str(shutil.which(CHROMIUM))
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(executable_path=str(shutil.which(DRIVER))))
    driver.set_script_timeout(_PATIENCE)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
