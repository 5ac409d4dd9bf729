"""Which servers connections may name: those of `DLM_S3_ENDPOINTS`, and nothing else in or outside the network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _

KNOWN = {
    "aws": (
        "https://s3.amazonaws.com",
        "https://s3.*.amazonaws.com",
        "https://s3.dualstack.*.amazonaws.com",
        "https://s3-fips.*.amazonaws.com",
        "https://s3.*.amazonaws.com.cn",
    ),
    "ibm": ("https://s3.*.cloud-object-storage.appdomain.cloud",),
}
_AWS_HOST = re.compile(r"s3(?:-fips)?(?:\.dualstack)?(?:\.([a-z0-9-]+))?\.amazonaws\.com(?:\.cn)?")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\]")
_REGION = re.compile(r"[A-Za-z0-9_-]{1,50}")
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Endpoint:
    """A server that may be spoken to. `public_only`: only at an address of the public network."""

    url: str
    public_only: bool

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or _PORTS[parts.scheme]

    @property
    def is_aws(self) -> bool:
        return _AWS_HOST.fullmatch(self.host) is not None

    @property
    def aws_region(self) -> str:
        """The region that the name of an endpoint of AWS holds."""
        found = _AWS_HOST.fullmatch(self.host)
        return (found[1] or "") if found else ""


def checked_endpoint(text: str, *, region: str = "") -> Endpoint:
    """The endpoint as it may be used; blank is that of AWS in the region.

    Raises UserError when it is none, or none that the operator allows. What the operator names in full may lie in the
    private network; what only a pattern allows may not.
    """
    if region and not _REGION.fullmatch(region):  # SECURITY: it becomes part of a host's name
        raise UserError(
            _("A region is a word such as eu-central-1; received “%(region)s”.", region=region[:60]),
            reason="invalid_region",
            field="region",
        )
    if not text.strip():
        china = ".cn" if region.startswith("cn-") else ""
        text = f"https://s3.{region.lower() or 'us-east-1'}.amazonaws.com{china}"
    url = _normalised(text)
    for pattern in _allowed():
        if pattern == url:
            return Endpoint(url, public_only=any(pattern in known for known in KNOWN.values()))
        if "*" in pattern and re.fullmatch(re.escape(pattern).replace(r"\*", "[a-z0-9-]+"), url):
            return Endpoint(url, public_only=True)
    raise UserError(
        _(
            "%(endpoint)s is none of the endpoints that this site may use (%(allowed)s). Choose one of these, or ask "
            "the operator to add it to DLM_S3_ENDPOINTS.",
            endpoint=url,
            allowed=", ".join(settings.DLM_S3_ENDPOINTS) or "–",
        ),
        reason="endpoint_not_allowed",
        field="endpoint",
    )


def _allowed() -> list[str]:
    """The operator's list, each as the address or the pattern of an address."""
    allowed: list[str] = []
    for each in settings.DLM_S3_ENDPOINTS:
        if each in KNOWN:
            allowed += KNOWN[each]
        elif "*" in each:
            allowed.append((each if "://" in each else f"https://{each}").lower().rstrip("/"))
        else:
            try:
                allowed.append(_normalised(each))
            except UserError as error:
                raise ImproperlyConfigured(f"DLM_S3_ENDPOINTS: {error.message}") from error
    return allowed


def _normalised(text: str) -> str:
    """`scheme://host[:port]`, the port only where it is not the scheme's own."""
    given = text.strip()
    try:
        parts = urlsplit(given if "://" in given else f"https://{given}")
        port = parts.port
    except ValueError:  # a port that is no number, a bracket that is not closed
        raise _no_endpoint(given) from None
    if parts.scheme not in _PORTS or not _is_bare(parts):
        raise _no_endpoint(given)
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    if not _HOST.fullmatch(host):
        raise _no_endpoint(given)
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, _PORTS[parts.scheme]) else "")


def _is_bare(parts: SplitResult) -> bool:
    """Nothing but host and port: no user, path, query or fragment."""
    return "@" not in parts.netloc and parts.path in ("", "/") and not parts.query and not parts.fragment


def _no_endpoint(text: str) -> UserError:
    return UserError(
        _(
            "An endpoint is the address of a server alone, such as https://s3.example.com; received “%(text)s”. Leave "
            "out user, path and query: the bucket has a field of its own.",
            text=text[:200],
        ),
        reason="invalid_endpoint",
        field="endpoint",
    )
