"""The HTML report: complete, self-contained, and right when a browser shows it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamproc import Detections, Event, Frame, FramePlugin, Options, Output, Results
from streamproc.chain.ledger import LedgerPage
from streamproc.config import SinkPlan
from streamproc.engine import Engine, RunReport, StreamReport
from streamproc.events import Attachment
from streamproc.frames import SECOND_NS
from streamproc.report import EventLog, render_report
from streamproc.testing import make_frame, make_info, make_plan, plugin_plan
from tests.machine import NO_BROWSER

INFO = make_info("yard", width=320, height=240, rate=10)


class Tell(FramePlugin[Options]):
    """An instant at every tenth frame, with a box, and text that would be markup if it weren't escaped."""

    gives = (Detections,)

    def process(self, frame: Frame, past: Results) -> Output:
        if frame.index % 10 == 0:
            yield Event.instant(
                frame, "box.seen", score=0.75, label="<b>cart</b>", box=[80, 60, 160, 180], level=frame.index / 7
            )


class Fail(FramePlugin[Options]):
    """Fails for good from frame 20 on."""

    def process(self, frame: Frame, past: Results) -> Output:
        if frame.index >= 20:
            raise ValueError("no more <i>carts</i>")
        return []


def page_of(tmp_path: Path, *, frames: int = 60) -> tuple[str, RunReport, list[Event]]:
    """The page of a run with two plugins, one of which is switched off, and its truth."""
    grey = [np.full((240, 320, 3), 40 + n, np.uint8) for n in range(frames)]
    made = [make_frame(rgb=rgb, index=n, info=INFO) for n, rgb in enumerate(grey)]
    plan = make_plan([plugin_plan(Tell), plugin_plan(Fail)], made, state=tmp_path, name="yard")
    log = EventLog()
    report = Engine(plan, extra=[(SinkPlan(name="(report)", cls=EventLog, options=log.options), log)]).run()
    config = {"version": 1, "streams": {"yard": {"source": "</pre><script>alert(1)</script>"}}}
    return render_report(report, log.events, config), report, log.events


class Outline(HTMLParser):
    """What a page refers to, and the cells of its tables by section."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.rows: dict[str, list[list[str]]] = {}
        self._section = ""
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open = tag
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        elif tag in ("td", "th"):
            self.rows[self._section][-1].append("")

    def handle_data(self, data: str) -> None:
        if self._open == "h2":
            self._section = data
        elif self._open in ("td", "th"):
            self.rows[self._section][-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


def test_the_page_refers_to_nothing_outside_itself(tmp_path: Path) -> None:
    page, _, _ = page_of(tmp_path)
    outline = Outline(page)
    assert outline.addresses
    assert [address for address in outline.addresses if not address.startswith("data:image/")] == []
    assert not {"link", "iframe", "object", "embed", "base"} & set(outline.tags)
    assert re.findall(r"https?://|@import|url\(", page) == []


def test_foreign_content_is_text_and_never_markup(tmp_path: Path) -> None:
    page, _, _ = page_of(tmp_path)
    assert Outline(page).tags.count("script") == 1
    assert "<b>cart</b>" not in page
    assert "<i>carts</i>" not in page


def test_every_event_has_its_row(tmp_path: Path) -> None:
    page, _, events = page_of(tmp_path)
    head, *rows = Outline(page).rows["Events"]
    assert head == ["stream", "type", "phase", "from s", "to s", "score", "what"]
    assert len(rows) == len(events) == 6
    assert rows[1] == ["yard", "box.seen", "instant", "1.000", "1.000", "0.75", "<b>cart</b>, level 1.429"]


def test_the_ledger_shows_the_numbers_of_the_report(tmp_path: Path) -> None:
    page, report, _ = page_of(tmp_path)
    head, row = Outline(page).rows["Ledger"]
    shown = dict(zip(head, row, strict=True))
    book = report.ledger
    assert shown["observed"] == str(book.observed) == "60"
    assert shown["processed"] == str(book.total("processed"))
    assert (shown["in flight"], shown["closed"]) == ("0", "yes")


def test_simultaneous_episodes_lie_above_each_other(tmp_path: Path) -> None:
    _, report, _ = page_of(tmp_path)
    frame = make_frame(info=INFO)
    first, second = (Event.begin(frame, "zone.entered", episode=f"yard/{n}") for n in (1, 2))
    bars = re.findall(r'<rect x="[\d.]+" y="([\d.]+)"', render_report(report, [first, second], {}))
    assert len(set(bars)) == 2
    third = Event.instant(make_frame(index=40, info=INFO), "zone.entered")
    fourth = Event.instant(make_frame(index=50, info=INFO), "zone.entered")
    bars = re.findall(r'<rect x="[\d.]+" y="([\d.]+)"', render_report(report, [third, fourth], {}))
    assert len(set(bars)) == 1
    assert len(bars) == 2


def test_troubles_stand_at_the_top(tmp_path: Path) -> None:
    page, report, _ = page_of(tmp_path)
    top = page.split("<h2>")[0]
    assert f"exit code {report.exit_code}:" in top
    assert "plugin fail of yard was switched off" in top
    assert "no more &lt;i&gt;carts" in top


def test_a_run_without_events_has_a_page_too(tmp_path: Path) -> None:
    _, report, events = page_of(tmp_path, frames=1)
    empty = render_report(report, [], {})
    assert len(events) == 1
    assert "No events in this run." in empty
    assert "Events" not in Outline(empty).rows
    assert "1 more" in empty


def live_report(**settings: Any) -> RunReport:
    stream = StreamReport(
        name="gate", ledger=LedgerPage(observed=9, in_flight=0, buckets={}), media_s=7200.0, live=True
    )
    return RunReport(streams=(stream,), sinks=(), wall_s=7200.0, cpu_s=9.0, **{"events": {}, **settings})


def live_event(at_s: float, begun_s: float = 1_777_000_000.0) -> Event:
    frame = make_frame(index=round(at_s), pts_s=at_s, info=INFO)
    frame = replace(frame, captured_ns=round((begun_s + at_s) * SECOND_NS))
    return Event.instant(frame, "line.crossed", line="door").stamped(make_info("gate"), "rules", 0)


@pytest.fixture
def kolkata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("kolkata")
def test_camera_timeline_shows_the_time_of_day() -> None:
    page = render_report(live_report(), [live_event(600), live_event(3900)], None)
    # media time 0 is 2026-04-24 03:06:40 UTC, 08:36:40 in Kolkata
    labels = re.findall(r"class=time>([^<]+)<", page)
    assert labels[:3] == ["08:40", "08:50", "09:00"]
    assert "<title>line.crossed 08:46 - 08:46 line door</title>" in page
    recorded = replace(live_report(), streams=(replace(live_report().streams[0], live=False),))
    assert re.findall(r"class=time>([^<]+)<", render_report(recorded, [live_event(600)], None))[0] == "0:00.0"


@pytest.mark.parametrize("span_s", [0.2, 59, 3600, 86_400, 30 * 86_400, 1e9])
def test_any_timeline_has_at_most_a_dozen_ticks(span_s: float) -> None:
    for event, report in (
        (live_event(span_s), live_report()),
        (replace(live_event(span_s), captured_ns=None), live_report()),
    ):
        ticks = re.findall(r"class=time>([^<]+)<", render_report(report, [event], None))
        assert 1 <= len(ticks) <= 13


def test_interrupted_run_hides_its_configuration_by_default() -> None:
    page = render_report(live_report(interrupted=True), [live_event(5)], None)
    assert '<p class="note">exit code 130: stopped by SIGINT, SIGTERM or SIGHUP' in page
    assert "Configuration" not in Outline(page).rows
    assert "<h2>Configuration</h2>" not in page
    assert "<h2>Configuration</h2>" in render_report(live_report(), [], {"version": 1})


def test_page_with_first_events_only_says_so() -> None:
    page = render_report(
        live_report(events={("gate", "line.crossed"): 12_345}), [live_event(n) for n in range(3)], None
    )
    assert "This page holds the first 3 of 12,345 events; a sink holds them all." in page


def test_media_type_can_not_break_its_attribute() -> None:
    picture = Attachment(name="a", media_type='image/x"><script>alert(1)</script>', data=b"x")
    page = render_report(live_report(), [replace(live_event(1), attachments=(picture,))], None)
    assert Outline(page).tags.count("script") == 1


ODD_BOXES: list[Any] = [
    ["a", "b", "c", "d"],
    [None, 1, 2, 3],
    [10**400, 1, 2, 3],
    [float("nan"), 1, 2, 3],
    [[1], 2, 3, 4],
]


@pytest.mark.parametrize("box", ODD_BOXES, ids=lambda box: str(box)[:20])
def test_strange_box_or_media_type_spoils_no_page(tmp_path: Path, box: Any) -> None:
    _, report, _ = page_of(tmp_path, frames=1)
    picture = Attachment(name="odd", media_type='image/png" onerror="alert(1)', data=b"x")
    event = replace(Event.instant(make_frame(info=INFO), "box.seen", box=box), attachments=(picture,), stream="yard")
    page = render_report(report, [event], {})
    (image,) = [line for line in re.findall("<img [^>]*>", page) if "base64" in line]
    assert image.count('"') == 6
    assert "box.seen" in Outline(page).rows["Events"][1]


def test_a_time_far_away_makes_no_endless_page(tmp_path: Path) -> None:
    _, report, _ = page_of(tmp_path, frames=1)
    event = replace(Event.instant(make_frame(info=INFO), "box.seen"), start_ns=0, end_ns=2**63 - 1, pts_ns=2**63 - 1)
    assert len(render_report(report, [event], {})) < 100_000


def test_report_without_room_leaves_summary_and_exit_code(tmp_path: Path) -> None:
    job = {
        "version": 1,
        "streams": {"yard": {"source": {"type": "synthetic", "options": {"duration": "1s"}}, "chain": [], "sinks": []}},
    }
    (tmp_path / "job.yaml").write_text(json.dumps(job))
    # no file may have more than a few kilobytes: what a full disk is to a page of twenty
    limited = f"ulimit -f 4 && exec {shlex.quote(sys.executable)} -m streamproc run job.yaml --report report.html"
    done = subprocess.run(
        ["bash", "-c", limited], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0
    assert "processed" in done.stderr
    assert "the report report.html is missing" in done.stderr
    assert "free some room" in done.stderr
    assert (tmp_path / "report.html").read_text() == ""
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def screenshot(page: str, folder: Path, *, dark: bool) -> np.ndarray:
    """The page as Chromium shows it, uint8 (h, w, 3)."""
    (folder / "report.html").write_text(page)
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip(f"{NO_BROWSER}: make deps installs chromium on Debian")
    quiet = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    more = "--disable-component-update --disable-sync --hide-scrollbars --window-size=1280,1800"
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    subprocess.run(
        [
            browser, *quiet.split(), *more.split(), *scheme, f"--user-data-dir={folder / 'profile'}",
            f"--screenshot={folder / 'page.png'}", (folder / "report.html").as_uri(),
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    image = cv2.imread(str(folder / "page.png"))
    assert image is not None
    return np.asarray(image)


@pytest.mark.parametrize("dark", [False, True])
def test_page_follows_the_browsers_colour_scheme(tmp_path: Path, dark: bool) -> None:
    page, _, _ = page_of(tmp_path)
    image = screenshot(page, tmp_path, dark=dark)
    assert image.shape == (1800, 1280, 3)
    paper = image[5, 5].mean()
    assert paper < 40 if dark else paper > 250
    mark = np.array([32, 176, 255])  # the boxes on the pictures
    assert (np.abs(image.astype(int) - mark).max(axis=2) < 12).sum() > 500
