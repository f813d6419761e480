"""A network on disk: a manifest from which its modules are rebuilt, and their weights, read and written strictly."""

TRUSTED = "AVJEPA_TRUSTED_MODULES"
"""Environment variable of the modules whose classes a manifest, or the configuration in a run's folder, may name,
separated by commas; ``--trust`` sets it, so that processes which a command starts trust them too. What the user gives
with ``--config`` is the user's own word, and names what it likes."""
