"""The built-in sinks, one file each; they are found by their entry points."""
