"""The HTML report of a run: one self-contained page."""

from streamproc.report.log import EventLog
from streamproc.report.page import prepare_report, render_report, write_report

__all__ = ["EventLog", "prepare_report", "render_report", "write_report"]
