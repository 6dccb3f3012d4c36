"""Measures the pages in a browser: bytes and time of the first load, showing an answer, scrolling, and the atlas.

    python -m benchmarks.server.pages SITE FOLDER [--out benchmarks/results/pages.json]

SITE is the address of a running server, FOLDER contains photos to identify. Needs Playwright and Debian's Chromium,
which renders in software here. The grid is filled to 500 photos, and the atlas to 100,000 points by
repetition, so that a small collection is sufficient.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import struct
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, Route, sync_playwright

ROUNDS = 7
SLOWER = 4  # times, of the processor
POINTS = 100_000
SHOTS = 500
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
FRAMES = """async (seconds) => {
  const gaps = []; let last = performance.now(); const end = last + 1000 * seconds;
  while (last < end) {
    const now = await new Promise((done) => requestAnimationFrame(done));
    %s
    gaps.push(now - last); last = now;
  }
  return gaps.slice(2);
}"""
WATCH = """() => {
  const send = XMLHttpRequest.prototype.send;
  let reply;
  XMLHttpRequest.prototype.send = function (body) {
    this.addEventListener("readystatechange", () => { if (this.readyState === 4) reply = performance.now(); });
    send.call(this, body);
  };
  window.shown = new Promise((tell) => {
    const seen = new MutationObserver(() => {
      if (!document.querySelector("#answer-title")) return;
      seen.disconnect();
      // A message sent from within a frame arrives when that frame has been laid out and painted.
      requestAnimationFrame(() => {
        const drawn = new MessageChannel();
        drawn.port1.onmessage = () => tell(performance.now() - reply);
        drawn.port2.postMessage(0);
      });
    });
    seen.observe(document.body, { childList: true, subtree: true });
  });
}"""


def first_load(browser: Browser, site: str) -> dict[str, float]:
    """Measure the compressed bytes that `/` loads, and the milliseconds until it is loaded, with CPU throttling."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    received: list[float] = []
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    page.goto(site, wait_until="load")
    page.wait_for_selector("form.enhanced")
    timing = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0")
    context.close()
    return {"bytes": sum(received), "load_ms": timing, "first_paint_ms": painted}


def answer_shown(page: Page, site: str, photos: list[Path]) -> float:
    """Measure the milliseconds from the last byte of the response until the answer is painted."""
    page.goto(site)
    page.set_input_files("#photos", photos)
    page.wait_for_selector(".tile")
    page.evaluate(WATCH)
    page.click("#rank")
    return float(page.evaluate("window.shown"))


def scrolling(page: Page, site: str, photos: list[Path]) -> list[float]:
    """Measure frame times in milliseconds while scrolling through a grid of 500 photos."""
    page.goto(f"{site}/similar")
    page.set_input_files("#photos", photos[0])
    page.wait_for_selector(".shot")
    while (held := page.locator(".shot").count()) < SHOTS:
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(300)
        if page.locator(".shot").count() == held:
            break
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    return list(page.evaluate(FRAMES % "window.scrollBy(0, 60);", 6))


def filled(body: bytes) -> bytes:
    """Repeat the points of an atlas with a little noise until there are POINTS."""
    count = len(body) // 20
    places = np.frombuffer(body, "<f4", 2 * count).reshape(-1, 2)
    numbers = np.frombuffer(body, "<u4", 3 * count, 8 * count).reshape(3, count)
    chosen = np.resize(np.arange(count), POINTS)
    moved = places[chosen] + np.random.default_rng(1).normal(0, 0.02, (POINTS, 2))
    return moved.astype("<f4").tobytes() + numbers[:, chosen].tobytes()


def atlas_frames(page: Page, site: str) -> list[float]:
    """Measure frame times in milliseconds while panning over 100,000 points."""

    def more(route: Route) -> None:
        route.fulfill(body=filled(route.fetch().body()), content_type="application/octet-stream")

    page.route("**/points.bin", more)
    page.goto(f"{site}/atlas")
    page.wait_for_selector("#legend li")
    act = """document.querySelector('.atlas canvas').dispatchEvent(new KeyboardEvent('keydown', {key: gaps.length % 2
      ? 'ArrowLeft' : 'ArrowRight', bubbles: true}));"""
    return list(page.evaluate(FRAMES % act, 5))


def describe(values: list[float]) -> dict[str, Any]:
    """Return median, 95th percentile and worst."""
    ordered = sorted(values)
    return {
        "median": round(median(ordered), 1),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
        "worst": round(ordered[-1], 1),
        "count": len(ordered),
    }


def main() -> None:
    """Measure, print, and write JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    photos = sorted(chosen.folder.glob("*.jpg"))[:4]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        loads = [first_load(browser, chosen.site) for _ in range(ROUNDS)]
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        shown = [answer_shown(page, chosen.site, photos) for _ in range(ROUNDS)]
        frames = scrolling(page, chosen.site, photos)
        drawn = atlas_frames(page, chosen.site)
        version = browser.version
        browser.close()
    found = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": [round(part, 1) for part in os.getloadavg()],
            "chromium": version,
            "pointer_bits": 8 * struct.calcsize("P"),
        },
        "first_load": {
            "bytes": round(median(load["bytes"] for load in loads)),
            "load_ms_4x_slower": describe([load["load_ms"] for load in loads]),
            "first_paint_ms_4x_slower": describe([load["first_paint_ms"] for load in loads]),
        },
        "answer_after_reply_ms": describe(shown),
        "grid_500_frame_ms": describe(frames),
        "atlas_100000_frame_ms": describe(drawn) | {"frames_per_second": round(1000 / median(drawn), 1)},
    }
    text = json.dumps(found, indent=1) + "\n"
    print(text, end="")
    if chosen.out:
        chosen.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
