"""Commands of the program that belong to plugins, in a package of their own: `--help` imports no plugin for them."""
