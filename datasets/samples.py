"""Random files of a data, each equally likely, fast for any number of files and in as many queries."""

import random

from django.db.models import QuerySet, Subquery

from datasets.models import Data, File

_FEW = 2000
_GUESSES = 100  # beside four for each file that is wanted
_ROUNDS = 10


def sound_files(data: Data) -> "QuerySet[File]":
    return data.files.filter(state=File.State.OK)


def random_files(data: Data, n: int = 1, *, content: str = "") -> list[File]:
    """At most `n` different sound files in random order; `content` restricts them to images or tables."""
    files = sound_files(data)
    if content:
        files = files.filter(content=content)
    chosen = _random_ids(data, files, n)
    found = files.in_bulk(chosen)
    return [found[pk] for pk in chosen]


def _random_ids(data: Data, files: "QuerySet[File]", n: int) -> list[int]:
    ids = files.order_by("pk").values_list("pk", flat=True)
    # The two ends of an index; MIN and MAX in one query would read all that lies between.
    ends = Data.everything.filter(pk=data.pk).values_list(Subquery(ids[:1]), Subquery(ids.reverse()[:1]))
    first, last = ends.get()
    if first is None:
        return []
    if 0 < data.file_count <= _FEW or last - first < _FEW:
        few = list(ids)
        return random.sample(few, min(n, len(few)))
    # Guess ids in the data's range and keep those that exist: every file is as likely as any other, and no row
    # between them is read. Ids of one data lie close together, so that a guess mostly hits.
    chosen: dict[int, None] = {}
    for _round in range(_ROUNDS):
        guesses = [random.randint(first, last) for _guess in range(4 * n + _GUESSES)]
        hits = set(ids.filter(pk__in=guesses))
        chosen |= {pk: None for pk in guesses if pk in hits}
        if len(chosen) >= n:
            return list(chosen)[:n]
    every = list(ids)
    return random.sample(every, min(n, len(every)))
