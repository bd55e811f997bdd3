"""The plugins that come with streamproc."""
