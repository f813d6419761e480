"""Memory of a process, as the system counts it."""

import subprocess
import sys

MIB = 2**20
MEASURE = "from avjepa.processes import peak_resident_bytes; held = b'1' * int({}); print(peak_resident_bytes())"


def peak_of_a_process_that_holds(held: int) -> int:
    """Bytes that a new process reports, which takes so many at once."""
    code = MEASURE.format(held)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_memory_is_that_of_the_process_and_not_of_the_one_that_started_it() -> None:
    """Linux hands the greatest memory of ``getrusage`` on to a new program."""
    ours = bytearray(300 * MIB)
    ours[::4096] = b"1" * len(ours[::4096])
    assert peak_of_a_process_that_holds(0) < 150 * MIB
    assert 200 * MIB < peak_of_a_process_that_holds(200 * MIB) < 350 * MIB
