"""What happens to a frame: pure functions and value machines without threads, locks, clocks or logs."""
