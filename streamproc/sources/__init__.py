"""Where frames come from: one module per source, found by entry point."""
