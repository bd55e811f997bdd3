"""Trouble that comes again and again: which of its times are logged."""

from __future__ import annotations


def worth_logging(count: int) -> bool:
    """Whether a trouble is logged that has come up `count` times: at its 1st, 10th, 100th and each 1000th time.

    >>> [count for count in range(1, 3001) if worth_logging(count)]
    [1, 10, 100, 1000, 2000, 3000]
    """
    return count in (1, 10, 100) or (count > 0 and count % 1000 == 0)


__all__ = ["worth_logging"]
