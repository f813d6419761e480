"""Tasks for the demo's runner that only pretend to do something."""

import time
from dataclasses import dataclass

from avjepa.commands.demo_jobs import DemoTask
from avjepa.errors import UserError


@dataclass(frozen=True)
class Note(DemoTask):
    """Appends a line to a file, and may take its time or fail."""

    path: str
    line: str
    seconds: float = 0.0
    fails: bool = False

    def run(self, slot: int) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{self.line}\n")
        print("noted", self.line)
        time.sleep(self.seconds)
        if self.fails:
            raise UserError(f"{self.path}: is a table without rows; fill it")


@dataclass(frozen=True)
class CountThreads(DemoTask):
    """Writes how many threads torch uses."""

    path: str

    def run(self, slot: int) -> None:
        import torch

        with open(self.path, "w", encoding="utf-8") as file:
            file.write(str(torch.get_num_threads()))
