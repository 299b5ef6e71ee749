"""What the tests with a browser share: the browser, and axe-core, fetched by npm's ordinary client."""

import os
import shutil
import subprocess

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    """Yield Debian's Chromium; modules skip where it or playwright is not there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield started
        started.close()


def _cannot(why):
    """Skip where a tool may be missing; on the machine that judges a change, fail."""
    (pytest.fail if os.environ.get("CI_RUN") == "1" else pytest.skip)(why)


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """Return axe-core's script."""
    npm = shutil.which("npm")
    if npm is None:
        _cannot("npm is not installed, so axe-core cannot be fetched")
    folder = tmp_path_factory.mktemp("axe")
    options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=8"]
    command = [npm, "install", "--prefix", folder, *options, "axe-core@4"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=400)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        _cannot(f"axe-core cannot be fetched from npm: {type(error).__name__}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
