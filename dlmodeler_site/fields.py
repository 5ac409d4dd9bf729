"""Model fields of the platform."""

from typing import Any

from django.db import models

from dlmodeler_site import sentences


class SentenceField(models.TextField):
    """A message for people, which every reader is told in the language of the request that reads it."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return value if value is None else sentences.loads(value)

    def get_prep_value(self, value: Any) -> Any:
        return sentences.dumps(value) if isinstance(value, str) else value
