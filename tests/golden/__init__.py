"""Pins the bytes of the events of whole runs, made by the command line from pictures of integer arithmetic.

Each case is a configuration (`NAME.yaml`) and its events (`NAME.jsonl`). Where a change of the events is wanted, write
the files again, and read what changed before you commit it:

    python -m tests.golden.write [NAME ...]
"""
