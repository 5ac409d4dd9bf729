"""`python -m tests.site.forking PIDS_FILE`: forks as a queue's cluster does, main -> sentinel -> two workers."""

import multiprocessing
import os
import sys
import time

from dlmodeler_site.parent_death import forked_children_die_with_parent


def note_pid(path: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")


def work(path: str) -> None:
    note_pid(path)
    time.sleep(300)


def guard(path: str) -> None:
    note_pid(path)
    for _number in range(2):
        multiprocessing.get_context("fork").Process(target=work, args=[path]).start()


if __name__ == "__main__":
    forked_children_die_with_parent()
    note_pid(sys.argv[1])
    multiprocessing.get_context("fork").Process(target=guard, args=[sys.argv[1]]).start()
