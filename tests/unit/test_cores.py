"""How many cores a run may use, on systems that know more or less about it."""

from __future__ import annotations

import os

import pytest

from streamproc.config.plan import RuntimePlan
from streamproc.cores import usable_cores


def test_workers_equal_cores_on_a_system_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # macOS has none
    assert RuntimePlan().workers == usable_cores() == (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no processor affinity")
def test_process_with_one_core_has_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert RuntimePlan().workers == 1
