"""Takes screenshots of an answer page, on a desktop and on a phone, with the drawn demo collection.

make screenshots          # after `make demo`; or: python -m benchmarks.server.screenshots DEMO OUT

DEMO is the folder filled by `make demo`. The application serves it on a free local port, a new observation is
identified in Chromium, and OUT receives `answer-desktop.webp` and `answer-phone.webp`. Needs Playwright and Debian's
Chromium, found by name; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
SIZES = {"desktop": (1280, 960), "phone": (390, 844)}  # pixels of the page
LARGEST = 150_000  # largest size of a picture in bytes
PATIENCE = 60  # seconds until the server is ready


@contextmanager
def serve(demo: Path) -> Iterator[str]:
    """Serve the demo's data during a block; yields the address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    settings = {
        "FUNGARIUM_DATA": str(demo / "data"),
        "FUNGARIUM_FLORA_INDEXES": str(demo / "flora_indexes"),
        "FUNGARIUM_PORT": str(port),
        "FUNGARIUM_WORKERS": "1",
        "FUNGARIUM_LOG_LEVEL": "error",
    }
    server = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=os.environ | settings, stdout=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(server, f"{address}/healthz")
        yield address
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE)


def wait_for(server: subprocess.Popen[bytes], address: str) -> None:
    """Wait until the server reports that it is healthy; raises RuntimeError if it does not."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends and server.poll() is None:
        try:
            if requests.get(address, timeout=PATIENCE).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the server does not answer at {address}")


def photograph_answer(browser: Browser, address: str, photos: list[Path], size: tuple[int, int]) -> bytes:
    """Identify the photos among the species of the north, and return a PNG of the top of the answer."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, locale="en-GB", reduced_motion="reduce")
    page = context.new_page()
    page.goto(address)
    page.set_input_files("#photos", photos)
    if page.locator("#flora option[value=north]").count():
        page.select_option("#flora", "north")
    page.click("#rank")
    page.wait_for_selector("#answer-title")
    page.evaluate("document.activeElement?.blur()")
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_load_state("networkidle")
    shot = page.screenshot()
    context.close()
    return shot


def write_small(shot: bytes, path: Path) -> None:
    """Write a PNG as WebP, within the size limit for a README."""
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    for quality in (90, 80, 70, 60):
        written = io.BytesIO()
        picture.save(written, "WEBP", quality=quality, method=6)
        if written.tell() <= LARGEST:
            break
    path.write_bytes(written.getvalue())


def main() -> None:
    """Take the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    photos = sorted((options.demo / "collection" / "held_out" / "find-01").glob("*.jpg"))
    chromium = shutil.which("chromium")
    if not photos:
        sys.exit(f"no demo in {options.demo}: make demo SERVE=no")
    if chromium is None:
        sys.exit("no Chromium: apt-get install chromium")
    options.out.mkdir(parents=True, exist_ok=True)
    with serve(options.demo.resolve()) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for name, size in SIZES.items():
            path = options.out / f"answer-{name}.webp"
            write_small(photograph_answer(browser, address, photos, size), path)
            print(f"{path}: {path.stat().st_size:,} bytes")
        browser.close()


if __name__ == "__main__":
    main()
