"""Django settings: the only place that reads the environment (the supervisor's own table aside)."""

import os
import secrets
import socket
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from dlmodeler_site.compute.base import gpu_count
from dlmodeler_site.workspace_settings import local_folder, workspace_storage

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# -- State -------------------------------------------------------------------------------------
# Everything the site writes lies under DLM_HOME.
DLM_HOME = Path(env.str("DLM_HOME", default=str(BASE_DIR / "var"))).resolve()
DLM_PORT = env.int("DLM_PORT", default=8000)
DLM_SERVING_PORT = DLM_PORT + 1
DLM_BIND = env.str("DLM_BIND", default="0.0.0.0")
DLM_PUBLIC_URL = env.str("DLM_PUBLIC_URL", default="").rstrip("/")
DLM_SERVING_URL = env.str("DLM_SERVING_URL", default="").rstrip("/")
DLM_ADMIN_USERNAME = env.str("DLM_ADMIN_USERNAME", default="")
DLM_ADMIN_PASSWORD = env.str("DLM_ADMIN_PASSWORD", default="")
DLM_ROLE = env.str("DLM_ROLE", default="web")  # web | serving: which urls and middlewares this process serves
DLM_RUNS = DLM_HOME / "runs"
DLM_CACHE = DLM_HOME / "cache"
DLM_CACHE_MB = env.int("DLM_CACHE_MB", default=None)  # None = a fifth of what it takes and the free disk
DLM_LOGS = DLM_HOME / "logs"
DLM_SOCKETS = DLM_HOME / "sockets"
_workspace = workspace_storage(os.environ, folder=DLM_HOME / "workspace")
# What arrives is moved on, which costs nothing within a file system.
DLM_INCOMING = Path(local_folder(_workspace) or DLM_HOME / "workspace") / ".incoming"
for _folder in (DLM_HOME, DLM_RUNS, DLM_CACHE, DLM_LOGS, DLM_SOCKETS, DLM_INCOMING):
    _folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _secret_key() -> str:
    """The key from the environment, else one made on first use and kept in DLM_HOME."""
    key: str = env.str("DLM_SECRET_KEY", default="")
    if key:
        return key
    path = DLM_HOME / "secret_key"
    try:
        # RACE: several processes may start at once; only one creates the file, all read it.
        descriptor = os.open(path.with_suffix(f".{os.getpid()}"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        os.link(path.with_suffix(f".{os.getpid()}"), path)
    except FileExistsError:
        pass
    finally:
        path.with_suffix(f".{os.getpid()}").unlink(missing_ok=True)
    return path.read_text()


SECRET_KEY = _secret_key()
DEBUG = env.bool("DLM_DEBUG", default=False)

# -- Addresses ---------------------------------------------------------------------------------
ALLOWED_HOSTS = env.list("DLM_ALLOWED_HOSTS", default=["*"])
CSRF_TRUSTED_ORIGINS = [DLM_PUBLIC_URL] if DLM_PUBLIC_URL else []
if DLM_PUBLIC_URL.startswith("https://"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 31536000
SESSION_COOKIE_NAME = f"dlm_session_{DLM_PORT}"  # cookies ignore ports: two sites on one host must not share one
CSRF_COOKIE_NAME = f"dlm_csrf_{DLM_PORT}"
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains: these are not ours to decide
    "security.W008",  # redirect to https: the reverse proxy does it
    "security.W021",  # HSTS preload: the same
]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# -- Applications ------------------------------------------------------------------------------
INSTALLED_APPS = [
    "dlmodeler_site",
    "projects",
    "datasets",
    "jobs",
    "deployments",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "auditlog",
    "crispy_forms",
    "crispy_bootstrap5",
    "django_cotton",
    "django_htmx",
    "django_prometheus",
    "django_q",
    "django_tables2",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "rest_framework.authtoken",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "dlmodeler_site.middleware.request_id",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "dlmodeler_site.middleware.user_errors",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "dlmodeler_site.urls"
WSGI_APPLICATION = "dlmodeler_site.wsgi.application"
if DLM_ROLE == "serving":
    # Predictions need no pages, no sessions, no accounts.
    _pages_only = (
        "django.contrib.admin",
        "allauth",
        "crispy",
        "django_cotton",
        "django_htmx",
        "django_tables2",
    )
    INSTALLED_APPS = [app for app in INSTALLED_APPS if not app.startswith(_pages_only)]
    ROOT_URLCONF = "dlmodeler_site.serving_urls"
    MIDDLEWARE = ["dlmodeler_site.middleware.request_id"]
APPEND_SLASH = True
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "projects.context.navigation",
            ],
        },
    },
]
CRISPY_ALLOWED_TEMPLATE_PACKS = CRISPY_TEMPLATE_PACK = "bootstrap5"
DJANGO_TABLES2_TEMPLATE = "django_tables2/dlm.html"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- Database ----------------------------------------------------------------------------------
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DLM_HOME / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Several processes write: without these options SQLite answers "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;",
    }
DATABASES["default"]["CONN_MAX_AGE"] = 600
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache"}}

# -- Workspace and uploads ---------------------------------------------------------------------
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": DLM_HOME / "media"}},
    "workspace": _workspace,
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
STATIC_URL = "/static/"
STATIC_ROOT = DLM_HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
FILE_UPLOAD_TEMP_DIR = DLM_INCOMING
DATA_UPLOAD_MAX_NUMBER_FILES = 1000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2100  # a path beside each file, and the options
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
DLM_UPLOAD_MAX_BYTES = 4 * 1024**3  # a call
DLM_ARCHIVE_MAX_ENTRIES = env.int("DLM_ARCHIVE_MAX_ENTRIES", default=200_000)  # what a data is built for
DLM_REQUEST_LOG_DAYS = env.int("DLM_REQUEST_LOG_DAYS", default=7)  # 0: requests are counted, not logged
DLM_TRASH_DAYS = env.int("DLM_TRASH_DAYS", default=14)  # until what was deleted cannot be restored any more
AUDITLOG_USE_BASE_MANAGER = True  # what is in the trash is compared with what it was as well
# Where connections may lead: `aws`, `ibm`, addresses in full (these also in the private network), patterns of hosts.
DLM_S3_ENDPOINTS = env.list("DLM_S3_ENDPOINTS", default=["aws", "ibm"])
DLM_IMPORT_MAX_OBJECTS = env.int("DLM_IMPORT_MAX_OBJECTS", default=500_000)

# -- Accounts ----------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
ACCOUNT_ADAPTER = "dlmodeler_site.accounts.ClosedSignup"
SOCIALACCOUNT_ADAPTER = "dlmodeler_site.accounts.SocialAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "projects:list"
LOGOUT_REDIRECT_URL = ACCOUNT_LOGOUT_REDIRECT_URL = "intro"
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
if email_url := env.str("DLM_EMAIL_URL", default=""):
    vars().update(env.email_url_config(email_url))
SOCIALACCOUNT_PROVIDERS = {}
if oidc_server := env.str("DLM_OIDC_SERVER_URL", default=""):
    SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {
            "APPS": [
                {
                    "provider_id": "oidc",
                    "name": env.str("DLM_OIDC_NAME", default="Single sign-on"),
                    "client_id": env.str("DLM_OIDC_CLIENT_ID"),
                    "secret": env.str("DLM_OIDC_CLIENT_SECRET"),
                    "settings": {"server_url": oidc_server},
                }
            ]
        }
    }

# -- REST API ----------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "dlmodeler_site.pagination.Pages",
    "DEFAULT_FILTER_BACKENDS": ["rest_framework.filters.SearchFilter", "rest_framework.filters.OrderingFilter"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "dlmodeler_site.errors.api_exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "DL Modeler",
    "DESCRIPTION": "Projects, data, trainings, deployments and predictions.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "WorkStatusEnum": "dlmodeler_site.work.models.Status",
        "DeploymentStatusEnum": "deployments.models.Deployment.Status",
        "RoleEnum": "dlmodeler_site.access.Role",
        "DataKindEnum": "datasets.models.Data.Kind",
        "FixKindEnum": "jobs.checking.findings.FIX_KINDS",
    },
}

# -- Content security --------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}

# -- Work queues -------------------------------------------------------------------------------
# The queue is a doorbell, the row is the truth (docs/architecture.md): a task is delivered again only after `retry`
# seconds, and never counted on.
_long = {
    "poll": 0.5,
    "queue_limit": 1,
    "timeout": 7 * 86400,
    "retry": 30 * 86400,
    "ack_failures": True,
    "max_attempts": 1,
}
Q_CLUSTER = {
    "name": "short",
    "orm": "default",
    "workers": 2,
    "daemonize_workers": False,
    "save_limit": 100,
    "label": "Queue",
    "guard_cycle": 1,
    "scheduler": False,
    "catch_up": False,
    "max_rss": None,
    **_long,
    "poll": 0.2,  # somebody sits in front of an inspection
    "ALT_CLUSTERS": {
        "cpu": {"workers": 1, **_long},
        "gpu": {"workers": max(gpu_count(), 1), **_long},
    },
}
DLM_WORK_BACKEND = env.str("DLM_WORK_BACKEND", default="local")  # in tests also: blocking | inline
DLM_HEARTBEAT_S = 2
DLM_LEASE_S = env.int("DLM_LEASE_S", default=20)  # a heartbeat older than this has lapsed
DLM_MAX_CRASHES = 6  # in a row without progress

# -- Languages, time, logs ---------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ko", "한국어")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_TZ = True
TIME_ZONE = env.str("DLM_TIME_ZONE", default="UTC")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "dlmodeler_site.middleware.RequestIdFilter"}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request_id"]}},
    "root": {"handlers": ["console"], "level": env.str("DLM_LOG_LEVEL", default="INFO")},
}
PROMETHEUS_EXPORT_MIGRATIONS = False
DLM_METRICS_ADDRESSES = env.list("DLM_METRICS_ADDRESSES", default=["127.0.0.1", "::1"])
DLM_HOSTNAME = socket.gethostname()
SITE_NAME = _("DL Modeler")
