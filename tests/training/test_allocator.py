import subprocess
import sys

PROGRAM = """
import resource, sys
import torch
from avjepa.training.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
torch.set_num_threads(1)
for _ in range(16):  # the heap finds its size: how often it grows depends on where the system put it
    torch.ones(2**24).add(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.ones(2**24).add(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_tensors_of_megabytes_cost_no_page_faults() -> None:
    """64 MiB are 16,384 pages; without the setting the kernel hands each of them out again and again."""
    assert page_faults("keep") <= 16384  # of 16 tensors at most one is new to the heap
    assert page_faults("default") >= 8 * 2 * 16384
