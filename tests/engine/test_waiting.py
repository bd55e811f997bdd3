"""Where threads wait for each other: admission by credits, and the mailbox of a stream's ordered worker."""

from __future__ import annotations

import threading

from streamproc.engine.admission import Credits
from streamproc.engine.mailbox import GROUP, Mailbox


def test_waiting_reader_continues_when_half_is_free() -> None:
    mine = Credits(limit_bytes=1000, limit_frames=4)
    for _ in range(4):
        assert mine.take(1, lambda: False)
    waiting = threading.Thread(target=mine.take, args=(1, lambda: False))
    waiting.start()
    mine.give_back(1)
    assert mine.frames == 3  # there is room, but one frame at a time isn't worth waking up for
    assert waiting.is_alive()
    mine.give_back(1)
    waiting.join(30)
    assert mine.frames == 3


def test_one_large_frame_is_always_admitted() -> None:
    mine = Credits(limit_bytes=10, limit_frames=4)
    assert mine.take(50, lambda: False)
    waiting = threading.Thread(target=mine.take, args=(50, lambda: False))
    waiting.start()
    mine.give_back(50)
    waiting.join(30)
    assert mine.frames == 1


def test_mailbox_keeps_the_order() -> None:
    box, sent, got = Mailbox[int](), list(range(2 * GROUP + 1)), list[int]()
    reader = threading.Thread(target=lambda: got.extend(box.get() for _ in sent))
    reader.start()
    for item in sent:
        box.put(item)
    box.hurry()
    reader.join(30)
    assert got == sent


def test_hurry_releases_earlier_pieces() -> None:
    box, (first, second) = Mailbox[int](), range(2)
    box.put(first)
    box.put(second, hurry=True)
    assert [box.get(), box.get()] == [first, second]


def test_hurry_of_an_empty_mailbox_changes_nothing() -> None:
    box, (first, *others) = Mailbox[int](), range(GROUP)
    box.hurry()
    box.put(first)
    got: list[int] = []
    reader = threading.Thread(target=lambda: got.append(box.get()))
    reader.start()
    assert not got
    for item in others:
        box.put(item)
    reader.join(30)
    assert got == [first]
