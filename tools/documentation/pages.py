"""Pages that mkdocs gets from the code: commands, configuration, the configurations that ship, the README's figures."""

import sys
from pathlib import Path

import mkdocs_gen_files

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from documentation import commands, configuration

from avjepa.commands.shipped import CONFIGS


def shipped() -> str:
    """Every configuration that ships, under its name."""
    lines = [
        "# Configurations that ship", "",
        "`avjepa configs list` names them, `avjepa configs show NAME` prints one; a name stands where a file may.", "",
    ]  # fmt: skip
    for kind in sorted(folder for folder in CONFIGS.iterdir() if folder.is_dir()):
        lines += [f"## {kind.name}", ""]
        for path in sorted(kind.glob("*.yaml")):
            lines += [f'??? note "{kind.name}/{path.stem}"', "", "    ```yaml"]
            lines += [f"    {line}".rstrip() for line in path.read_text().splitlines()]
            lines += ["    ```", ""]
    return "\n".join(lines)


for name, text in {
    "reference/commands.md": commands.page(),
    "reference/configuration.md": configuration.page(),
    "reference/shipped.md": shipped(),
}.items():
    with mkdocs_gen_files.open(name, "w") as file:
        file.write(text)
