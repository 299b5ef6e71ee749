"""Take the README's picture, the first screen of a report on the emulator's default week: python data/make_picture.py."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from PIL import Image

import cosai_nb as cn

PICTURE = Path(__file__).with_name("readme.png")
WIDTH, HEIGHT = 1240, 1290
COLORS = 200


def main() -> None:
    """Query the emulator's 20,000 jobs over HTTP, write the report, and let Chromium show it."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        raise SystemExit("Chromium takes the picture: apt install chromium.")
    with cn.Emulator(seed=7) as emulator:
        client = emulator.client()
        jobs = cn.name_queues(
            cn.fetch_jobs(emulator.job_ids, client=client, progress=False), cn.list_queues(client=client)
        )
    with tempfile.TemporaryDirectory() as folder:
        page = cn.write_report(
            jobs,
            Path(folder, "report.html"),
            by="queue_name",
            slo="10m:95%",
            markers={pd.Timestamp("2026-11-04 13:10", tz="Asia/Shanghai"): "deploy v2"},
        )
        shot = Path(folder, "shot.png")
        command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={shot}"]
        subprocess.run(  # noqa: S603 - a page of our own
            [*command, f"--window-size={WIDTH},{HEIGHT}", page.as_uri()], check=True, capture_output=True
        )
        Image.open(shot).convert("RGB").quantize(COLORS).save(PICTURE, optimize=True)
    sys.stdout.write(f"{PICTURE}: {PICTURE.stat().st_size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    main()
