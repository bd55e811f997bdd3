"""Tests of the chain core and its drivers."""
