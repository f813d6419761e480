"""Processes that do not outlive the one that started them."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Have this process end when the one that started it is gone, however that ended.

    For processes of ``multiprocessing``: called first in the new one, or as ``initializer`` of a pool.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)  # at once: nobody is left to whom anything could be said

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
