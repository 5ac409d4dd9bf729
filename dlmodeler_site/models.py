from django.conf import settings
from django.db import models


class IdempotentAnswer(models.Model):
    """The answer to a creating call with an Idempotency-Key, kept for 24 hours."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=201)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="one_answer_per_key")]

    def __str__(self) -> str:
        return self.digest[:12]
