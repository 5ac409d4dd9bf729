"""The tokens of deployments: made, shown again to editors, rotated, revoked."""

import hashlib
import uuid
from datetime import datetime

from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.translation import gettext as _

from deployments.models import Deployment, DeploymentToken
from dlmodeler_site.audit import record_access
from dlmodeler_site.encryption import Unreadable, decrypt, encrypt
from dlmodeler_site.errors import Conflict, UserError

FIRST_NAME = "default"
_PURPOSE = "deployment-token"


def digest_of(text: str) -> str:
    """What a token is looked up by; a token is random enough to need no salt."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def create_token(
    deployment: Deployment, *, name: str, creator: User | None, expires_at: datetime | None = None
) -> tuple[DeploymentToken, str]:
    """Make a token; its text is answered beside it."""
    if not name.strip():
        raise UserError(_("A token needs a name that says who uses it; received none."), reason="invalid", field="name")
    if expires_at is not None and expires_at <= timezone.now():
        raise UserError(
            _("A token expires in the future or never; received %(received)s, which has passed.")
            % {"received": expires_at.isoformat(timespec="seconds")},
            reason="invalid",
            field="expires_at",
        )
    text = str(uuid.uuid4())
    token = DeploymentToken.objects.create(
        deployment=deployment,
        name=name.strip(),
        creator=creator,
        expires_at=expires_at,
        digest=digest_of(text),
        ciphertext=encrypt(text, purpose=_PURPOSE),
    )
    return token, text


def first_token(deployment: Deployment) -> DeploymentToken:
    """The oldest token that is valid."""
    token: DeploymentToken | None = DeploymentToken.objects.valid().filter(deployment=deployment).first()
    if token is None:
        raise Conflict(
            _("“%(name)s” has no valid token: all have expired or were revoked. Rotate the token to get a new one.")
            % {"name": deployment.name},
            reason="no_token",
        )
    return token


def show_token(token: DeploymentToken) -> str:
    """The token's text, for editors; that it was shown is written to the audit log."""
    text = _decrypt(token)
    record_access(token, what=f"token “{token.name}” of deployment {token.deployment_id}")
    return text


def rotate_token(deployment: Deployment, *, user: User | None) -> tuple[DeploymentToken, str]:
    """Give the first token a new text, so that the old one opens nothing any more; a new token where none is valid."""
    token: DeploymentToken | None = DeploymentToken.objects.valid().filter(deployment=deployment).first()
    if token is None:
        return create_token(deployment, name=FIRST_NAME, creator=user)
    text = str(uuid.uuid4())
    token.digest, token.ciphertext = digest_of(text), encrypt(text, purpose=_PURPOSE)
    token.rotated_at, token.last_used_at = timezone.now(), None
    token.save(update_fields=["digest", "ciphertext", "rotated_at", "last_used_at"])
    return token, text


def revoke_token(token: DeploymentToken) -> None:
    """The token opens nothing any more; refused by every process within a second."""
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])


def _decrypt(token: DeploymentToken) -> str:
    try:
        return decrypt(token.ciphertext, purpose=_PURPOSE)
    except Unreadable:
        raise Conflict(
            _(
                "The token “%(name)s” cannot be shown: it was encrypted with another secret key of the site. It still "
                "works. Rotate the token to get one that can be shown."
            )
            % {"name": token.name},
            reason="token_unreadable",
        ) from None
