"""The first questions to any sensor file: is it a file at all, and can it be one of a sensor by its size?"""

import os
import stat

from avjepa.errors import BadFileError


def size_of_file(path: str | os.PathLike[str], at_most: int | None = None) -> int:
    """Bytes of a regular file.

    Opening a pipe would wait for ever for someone to write into it, a device may not end, and a file with holes may be
    larger than any memory.

    Raises:
        BadFileError: there is nothing, it is no regular file, or it has more than ``at_most`` bytes.
    """
    try:
        state = os.stat(path)
    except FileNotFoundError:
        raise BadFileError(path, "the file is missing") from None
    except (OSError, ValueError) as error:
        raise BadFileError(path, f"the file cannot be read ({error})") from None
    if not stat.S_ISREG(state.st_mode):
        raise BadFileError(path, "this is no regular file (a folder, pipe, socket or device)")
    if at_most is not None and state.st_size > at_most:
        raise BadFileError(path, f"{state.st_size:,} bytes; no such file has more than {at_most:,}")
    return state.st_size
