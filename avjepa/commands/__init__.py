"""One module per command; each has ``run(arguments)``. Imports of heavy libraries wait until a command runs."""
