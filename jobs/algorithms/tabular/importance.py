"""How much an answer depends on each column: what is lost when its values are dealt out to other rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.algorithms.tabular.encoder import Encoder, Features
from jobs.algorithms.tabular.scores import Truth

_ROWS = 2000
_ROUNDS = 5
_MOST_ANSWERS = 2_000_000  # rows to answer in all


def permutation_importance(
    encoder: Encoder,
    features: Features,
    truth: Truth,
    answer: Callable[[Features], NDArray[Any]],
    *,
    names: tuple[str, ...],
    seed: int,
) -> list[dict[str, Any]]:
    """`{"column", "drop"}` of each column, the largest first: what accuracy or R2 lose without its values.

    Args:
        features, truth: of rows to measure on, at most 2,000 of which are taken. answer: answers as `truth` takes them.
    """
    generator = np.random.default_rng((seed, 6))
    if len(features.dense) > _ROWS:
        rows = np.sort(generator.choice(len(features.dense), _ROWS, replace=False))
        features, truth = Features(features.dense[rows], features.ids[rows]), truth.of(rows)
    count = len(features.dense)
    whole = truth.quality(answer(features))
    rounds = min(max(_MOST_ANSWERS // (count * len(names)), 1), _ROUNDS)
    drops = []
    for column, name in enumerate(names):
        dense = np.flatnonzero(encoder.owners == column)
        places = [
            place for bag in encoder.bags if bag.column == column for place in range(bag.start, bag.start + bag.length)
        ]
        lost = []
        for _round in range(rounds):
            order = generator.permutation(count)
            dealt = Features(features.dense.copy(), features.ids.copy())
            dealt.dense[:, dense] = features.dense[order][:, dense]
            dealt.ids[:, places] = features.ids[order][:, places]
            lost.append(whole - truth.quality(answer(dealt)))
        drops.append({"column": name, "drop": round(float(np.mean(lost)), 6)})
    return sorted(drops, key=lambda entry: -float(entry["drop"]))
