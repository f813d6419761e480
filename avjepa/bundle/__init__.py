"""A network on disk: a manifest from which its modules are rebuilt, and their weights, read and written strictly."""
