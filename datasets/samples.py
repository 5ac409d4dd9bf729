"""Random files of a data, each equally likely, fast for any number of files."""

import random

from django.db.models import QuerySet

from datasets.models import Data, File

_FEW = 2000
_ROUNDS = 20


def sound_files(data: Data) -> "QuerySet[File]":
    return data.files.filter(state=File.State.OK)


def random_files(data: Data, n: int = 1, *, content: str = "") -> list[File]:
    """At most `n` different sound files in random order; `content` restricts them to images or tables."""
    files = sound_files(data)
    if content:
        files = files.filter(content=content)
    chosen = _random_ids(files, n)
    found = files.in_bulk(chosen)
    return [found[pk] for pk in chosen]


def _random_ids(files: "QuerySet[File]", n: int) -> list[int]:
    ids = files.order_by("pk").values_list("pk", flat=True)
    few = list(ids[:_FEW])
    if len(few) < _FEW:
        return random.sample(few, min(n, len(few)))
    # Guess ids in the data's range and keep those that exist: every file is as likely as any other, and no row
    # between them is read. Ids of one data lie close together, so that a guess mostly hits.
    first, last = few[0], ids.reverse()[:1][0]
    chosen: dict[int, None] = {}
    for _round in range(_ROUNDS):
        guesses = [random.randint(first, last) for _guess in range(2 * n + 20)]
        hits = set(ids.filter(pk__in=guesses))
        chosen |= {pk: None for pk in guesses if pk in hits}
        if len(chosen) >= n:
            return list(chosen)[:n]
    return random.sample(list(ids), n)
