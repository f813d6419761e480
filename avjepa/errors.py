"""The one exception a user is meant to read."""


class UserError(Exception):
    """Something the user can mend: a bad file, table, option or checkpoint.

    The message is one line that names the file, table or option, says what is wrong and what to do. The command
    line prints it on stderr and exits with code 2; the traceback is shown only with ``--debug``.
    """


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
