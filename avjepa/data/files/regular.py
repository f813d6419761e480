"""The first question to any sensor file: is it a file at all?"""

import os
import stat

from avjepa.errors import BadFileError


def refuse_irregular(path: str | os.PathLike[str]) -> None:
    """Raise ``BadFileError`` unless the path leads to a regular file.

    Opening a pipe would wait for ever for someone to write into it, and a device may not end.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise BadFileError(path, "the file is missing") from None
    except (OSError, ValueError) as error:
        raise BadFileError(path, f"the file cannot be read ({error})") from None
    if not stat.S_ISREG(mode):
        raise BadFileError(path, "this is no regular file (a folder, pipe, socket or device)")
