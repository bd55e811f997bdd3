"""Sources of frames: one module per source, found by entry point."""
