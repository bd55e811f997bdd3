"""Commands of the program that belong to plugins. A package of their own, so that `--help` imports none of the plugins."""
