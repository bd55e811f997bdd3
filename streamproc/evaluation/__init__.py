"""Scoring of what plugins give against known truth, by the field's own metrics (extra `eval`)."""
