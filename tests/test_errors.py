"""What a user can mend is one line, wherever it is raised."""

import pytest

from avjepa.errors import one_line


@pytest.mark.parametrize("library", ["libusb-1.0.so.0", "libGL.so.1"])
def test_a_library_that_the_system_lacks(library: str) -> None:
    error = ImportError(f"{library}: cannot open shared object file: No such file or directory")
    line = one_line(error)
    assert line is not None and line.startswith(library) and "apt-get install libusb-1.0-0" in line


def test_a_module_that_is_missing_is_a_defect() -> None:
    assert one_line(ModuleNotFoundError("No module named 'nowhere'")) is None
