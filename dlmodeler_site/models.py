from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class IdempotentAnswer(models.Model):
    """The answer to a creating call with an Idempotency-Key, kept for 24 hours."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE)
    digest = models.CharField(_("digest"), max_length=64)
    status = models.PositiveSmallIntegerField(_("HTTP status code"), default=201)
    body = models.JSONField(_("body"), null=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("idempotent answer")
        verbose_name_plural = _("idempotent answers")
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="one_answer_per_key")]

    def __str__(self) -> str:
        return self.digest[:12]


class Gpu(models.Model):
    """A GPU of this machine, and the lease of the work that has it to itself (`work.gpus`)."""

    name = models.CharField(_("name"), max_length=100, unique=True, help_text=_("As CUDA knows it: number or UUID."))
    lease = models.UUIDField(_("lease"), null=True, editable=False)

    class Meta:
        verbose_name = _("GPU of this machine")
        verbose_name_plural = _("GPUs of this machine")

    def __str__(self) -> str:
        return self.name
