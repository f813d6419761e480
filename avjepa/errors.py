"""What a user is meant to read: the one exception, and counts."""

import errno


class UserError(Exception):
    """Something the user can mend: a bad file, table, option or checkpoint.

    The message is one line that names the file, table or option, says what is wrong and what to do. The command
    line prints it on stderr and exits with code 2; the traceback is shown only with ``--debug``.
    """


class RefusedError(Exception):
    """A command did what it should, and its answer, which it printed, is no: the exit code is 1."""


class BadFileError(UserError):
    """A sensor file is missing, truncated, or holds values that cannot be read.

    A training run either stops with it (``on_bad_file: stop``) or counts it and goes on (``on_bad_file: skip``).
    """

    def __init__(self, path: object, problem: str, remedy: str = "restore the file or pass --on-bad-file skip") -> None:
        self.path = str(path)
        self.problem = problem
        self.remedy = remedy
        super().__init__(path, problem, remedy)  # all three, so that the exception survives pickling between workers

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; {self.remedy}"


def one_line(error: BaseException) -> str | None:
    """The line for an error that the user can mend; ``None`` for a defect of the program (its traceback is shown)."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{error.filename or 'output'}: no space left to write; free some and run the same command again"
    if isinstance(error, PermissionError):
        return f"{error.filename}: permission denied; choose another place or change its permissions"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}; give another path, or mend what is there"
    if isinstance(error, ImportError) and "cannot open shared object file" in str(error):  # as open3d on a bare machine
        return f"{error}; install that library of the system, as in apt-get install libusb-1.0-0 libgl1 libgomp1"
    if isinstance(error, MemoryError | RuntimeError) and _is_memory(error):
        return "out of memory; choose a smaller batch, image, grid or network"
    return None


def _is_memory(error: MemoryError | RuntimeError) -> bool:
    said = ("can't allocate memory", "out of memory")  # PyTorch's allocators of CPU and GPU
    return isinstance(error, MemoryError) or any(words in str(error) for words in said)


def counted(number: int, noun: str) -> str:
    """A number with its noun, as in "1 sample", "2,000 samples" and "3 boxes"."""
    ending = "" if number == 1 else "es" if noun.endswith("x") else "s"
    return f"{number:,} {noun}{ending}"
