"""What is counted of requests: statuses, times, classes. Tallies add up, so that any span is the sum of its parts."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# A time lies in one of these buckets for each doubling, so a percentile is told to about 4 %.
BUCKETS_PER_DOUBLING = 8
MOST_CLASSES = 200
OTHER_CLASSES = "…"
CONFIDENCE_BINS = 10


@dataclass(frozen=True)
class Answered:
    """One request that was answered.

    Attributes:
        queue_ms: how long it waited for its turn in the model server; None where it did not get there.
        samples: the images or rows that were predicted.
        labels: the predicted class of each sample, empty for values.
        confidences: the probability of each of them.
    """

    status: int
    latency_ms: float
    queue_ms: float | None = None
    samples: int = 0
    labels: Sequence[str] = ()
    confidences: Sequence[float] = ()


class Times:
    """A histogram of milliseconds with buckets that grow by the same factor each."""

    def __init__(self, counts: Mapping[int, int] | None = None, total_ms: float = 0.0) -> None:
        self.counts: Counter[int] = Counter(counts or {})
        self.total_ms = total_ms

    def add(self, ms: float) -> None:
        self.counts[_bucket(ms)] += 1
        self.total_ms += ms

    def merge(self, other: "Times") -> None:
        self.counts += other.counts
        self.total_ms += other.total_ms

    @property
    def count(self) -> int:
        return self.counts.total()

    def percentile(self, share: float) -> float | None:
        """The time that this share (0 to 1) of the requests did not exceed; None of nothing."""
        wanted, passed = share * self.count, 0
        for bucket in sorted(self.counts):
            passed += self.counts[bucket]
            if passed >= wanted:
                return float(2 ** ((bucket + 0.5) / BUCKETS_PER_DOUBLING))
        return None

    def up_to(self, limits_ms: Sequence[float]) -> list[int]:
        """How many took at most each of these times."""
        return [
            sum(count for bucket, count in self.counts.items() if 2 ** ((bucket + 0.5) / BUCKETS_PER_DOUBLING) <= limit)
            for limit in limits_ms
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "counts": {str(bucket): count for bucket, count in self.counts.items()},
            "total_ms": round(self.total_ms, 3),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Times":
        return cls({int(bucket): count for bucket, count in value["counts"].items()}, value["total_ms"])


def _bucket(ms: float) -> int:
    return math.floor(BUCKETS_PER_DOUBLING * math.log2(max(ms, 0.01)))


@dataclass
class Tally:
    """The sum of many requests."""

    statuses: Counter[str] = field(default_factory=Counter)
    latency: Times = field(default_factory=Times)
    queue: Times = field(default_factory=Times)
    samples: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    confidence: Counter[str] = field(default_factory=Counter)
    confidence_total: float = 0.0

    def add(self, answered: Answered) -> None:
        self.statuses[str(answered.status)] += 1
        self.latency.add(answered.latency_ms)
        if answered.queue_ms is not None:
            self.queue.add(answered.queue_ms)
        self.samples += answered.samples
        self._add_classes(Counter(answered.labels))
        for confidence in answered.confidences:
            self.confidence[str(min(int(confidence * CONFIDENCE_BINS), CONFIDENCE_BINS - 1))] += 1
            self.confidence_total += confidence

    def merge(self, other: "Tally") -> None:
        self.statuses += other.statuses
        self.latency.merge(other.latency)
        self.queue.merge(other.queue)
        self.samples += other.samples
        self._add_classes(other.classes)
        self.confidence += other.confidence
        self.confidence_total += other.confidence_total

    def _add_classes(self, classes: Mapping[str, int]) -> None:
        for label, count in classes.items():
            is_known = label in self.classes or len(self.classes) < MOST_CLASSES
            self.classes[label if is_known else OTHER_CLASSES] += count

    @property
    def requests(self) -> int:
        return self.statuses.total()

    @property
    def errors(self) -> int:
        return sum(count for status, count in self.statuses.items() if int(status) >= 400)

    @property
    def answered(self) -> int:
        """How many requests got predictions."""
        return self.requests - self.errors

    @property
    def mean_confidence(self) -> float | None:
        count = self.confidence.total()
        return self.confidence_total / count if count else None

    def as_json(self) -> dict[str, Any]:
        return {
            "statuses": dict(self.statuses),
            "latency": self.latency.as_json(),
            "queue": self.queue.as_json(),
            "samples": self.samples,
            "classes": dict(self.classes),
            "confidence": dict(self.confidence),
            "confidence_total": round(self.confidence_total, 6),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Tally":
        if not value:
            return cls()
        return cls(
            statuses=Counter(value["statuses"]),
            latency=Times.from_json(value["latency"]),
            queue=Times.from_json(value["queue"]),
            samples=value["samples"],
            classes=Counter(value["classes"]),
            confidence=Counter(value["confidence"]),
            confidence_total=value["confidence_total"],
        )


def total(tallies: Iterable[Tally]) -> Tally:
    """Their sum."""
    summed = Tally()
    for tally in tallies:
        summed.merge(tally)
    return summed
