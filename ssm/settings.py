"""The one settings module: everything comes from the environment, and the defaults are the safe ones.

Every variable is documented in docs/configuration.md; a test compares the two.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import django_stubs_ext

from ssm.lib.env import (
    env_bool,
    env_choice,
    env_database,
    env_fernet_keys,
    env_int,
    env_list,
    env_networks,
    env_redis_url,
    env_secret,
    env_str,
)

# Lets class statements name what they are generic in (ModelForm[Device]); mypy reads it, Django would not.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env_str("SSM_DATA_DIR", str(BASE_DIR / ".data")))

DEBUG = env_bool("SSM_DEBUG", False)
SECRET_KEY = env_secret("SSM_SECRET_KEY")
# The first key encrypts, all of them decrypt. Read at call time by ssm.lib.fields.
FIELD_ENCRYPTION_KEY = env_fernet_keys("SSM_FIELD_KEYS")

ALLOWED_HOSTS = env_list("SSM_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
# Behind a reverse proxy that ends TLS: SSM_HTTPS=true makes cookies secure and turns HSTS on.
HTTPS = env_bool("SSM_HTTPS", False)
CSRF_TRUSTED_ORIGINS = env_list("SSM_TRUSTED_ORIGINS", [])
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
# Proxies whose word on the address of a client is believed (X-Forwarded-For).
SSM_TRUSTED_PROXIES = env_networks("SSM_TRUSTED_PROXIES")
SECURE_SSL_REDIRECT = HTTPS
# Asked by programs beside SSM, past the proxy that ends TLS.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics(/containers)?$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = env_int("SSM_SESSION_SECONDS", 14 * 24 * 3600, minimum=60)
X_FRAME_OPTIONS = "DENY"

# Not daphne: as an app it only serves `runserver`, and costs every process that is no web server its memory.
INSTALLED_APPS = [
    "ssm.accounts.admin_app.SsmAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "channels",
    "encrypted_model_fields",
    "axes",
    "django_otp",
    "ssm.accounts",
    "devices",
    "registries",
    "containers",
    "ssm.apps.SsmConfig",
]

MIDDLEWARE = [
    # First, so that what the others refuse carries the headers too.
    "ssm.middleware.content_security_policy",
    # Before whoever looks at the Host header: probes ask by address.
    "ssm.probes.answer_probes",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "ssm.accounts.middleware.note_sessions",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "ssm.accounts.middleware.PeopleMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "ssm.urls"
ASGI_APPLICATION = "ssm.asgi.application"
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
                "ssm.context.frame",
            ],
            "builtins": ["ssm.templatetags.ui"],
        },
    }
]

DATABASES = {"default": env_database()}
DATABASES["default"] |= {
    "ATOMIC_REQUESTS": False,
    # Under ASGI every request has a thread of its own; a pool saves it a new connection.
    "CONN_MAX_AGE": 0,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": DATABASES["default"].get("OPTIONS", {})
    | {
        "pool": {
            "min_size": 1,
            "max_size": env_int("SSM_DATABASE_POOL", 20, minimum=2),
            "timeout": 15,
            "max_idle": 300,
        },
        "application_name": "ssm",
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env_redis_url()
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
# The core layer of channels-redis drops idle sockets with redis-py 8, see docs/decisions/0003.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "ssm"},
    }
}

CELERY_BROKER_URL = env_str("CELERY_BROKER_URL", REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A Redis that refuses writes for a while (its disk is full) must not end a worker with all that it is at.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600, "global_keyprefix": "ssm-celery:"}
# A lost message is noticed after seconds and sent again; one that comes twice is harmless: tasks look first.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# What moves much or waits long has a worker of its own, so that sweeps and short acts never wait for it.
CELERY_TASK_ROUTES = {
    "containers.run_transfer": {"queue": "transfers"},
    "containers.settle_transfer": {"queue": "transfers"},
    "containers.verify_backup": {"queue": "transfers"},
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
# A few ticks that look for due work, whatever the size of the fleet. One that comes late does what the next would do;
# but were they dropped whenever workers are a few seconds behind, nothing would be settled or handed out meanwhile.
CELERY_BEAT_SCHEDULE = {
    "hand-out-due-work": {"task": "containers.hand_out_due_work", "schedule": 5.0, "options": {"expires": 30}},
    "end-loops": {"task": "containers.end_loops", "schedule": 15.0, "options": {"expires": 15}},
    "settle-operations": {"task": "containers.settle_operations", "schedule": 5.0, "options": {"expires": 60}},
    "discard-kept": {"task": "containers.discard_kept", "schedule": 60.0, "options": {"expires": 60}},
    "poll-registries": {"task": "registries.poll_due", "schedule": 5.0, "options": {"expires": 5}},
    "evaluate-updates": {"task": "containers.evaluate_updates", "schedule": 3.0, "options": {"expires": 3}},
    "expire-knowledge": {"task": "registries.expire_knowledge", "schedule": 3600.0, "options": {"expires": 3600}},
    "plan-backups": {"task": "containers.plan_backups", "schedule": 15.0, "options": {"expires": 60}},
    "expire-history": {"task": "containers.expire_history", "schedule": 3600.0, "options": {"expires": 3600}},
    "keep-statistics": {"task": "containers.keep_statistics", "schedule": 1800.0, "options": {"expires": 1800}},
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": env_int("SSM_PASSWORD_LENGTH", 10, minimum=8, maximum=128)},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# Five wrong passwords for one name from one address: fifteen minutes of rest, whether the sixth is right or not.
AXES_FAILURE_LIMIT = env_int("SSM_LOGIN_FAILURES", 5, minimum=3, maximum=100)
AXES_COOLOFF_TIME = timedelta(seconds=env_int("SSM_LOGIN_REST_SECONDS", 900, minimum=10))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "ssm.lib.addresses.client_address"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
# The audit tells of log-ins.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
# The log-in page itself says that somebody has to wait.
SILENCED_SYSTEM_CHECKS = ["axes.W002"]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en"
TIME_ZONE = env_str("SSM_TIME_ZONE", "UTC")
USE_I18N = False
USE_TZ = True
# Where Django writes times by itself, in the admin: as the pages do.
DATE_FORMAT, TIME_FORMAT, DATETIME_FORMAT = "Y-m-d", "H:i:s", "Y-m-d H:i:s"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = Path(env_str("SSM_STATIC_DIR", str(DATA_DIR / "staticfiles")))
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "ssm.lib.storage.StaticFilesStorage"
        if not DEBUG
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
# Backups of volumes. Worker and web processes share the store: a folder, or a bucket of an S3-compatible service.
SSM_BACKUP_DIR = Path(env_str("SSM_BACKUP_DIR", str(DATA_DIR / "backups")))
SSM_BACKUP_S3_BUCKET = env_str("SSM_BACKUP_S3_BUCKET", "")
if SSM_BACKUP_S3_BUCKET:
    STORAGES["backups"] = {
        "BACKEND": "ssm.lib.s3.S3BackupStorage",
        "OPTIONS": {
            "bucket_name": SSM_BACKUP_S3_BUCKET,
            "location": env_str("SSM_BACKUP_S3_PREFIX", ""),
            "endpoint_url": env_str("SSM_BACKUP_S3_ENDPOINT", "") or None,
            "region_name": env_str("SSM_BACKUP_S3_REGION", "") or None,
            "access_key": env_secret("SSM_BACKUP_S3_ACCESS_KEY", "") or None,
            "secret_key": env_secret("SSM_BACKUP_S3_SECRET_KEY", "") or None,
        },
    }
else:
    STORAGES["backups"] = {
        "BACKEND": "ssm.lib.storage.PrivateFileStorage",
        "OPTIONS": {"location": SSM_BACKUP_DIR},
    }
# 1 (fast) to 19 (small); the level costs CPU of the worker, and the memory of one stream.
SSM_BACKUP_LEVEL = env_int("SSM_BACKUP_LEVEL", 3, minimum=1, maximum=19)
SSM_BACKUP_UPLOAD_MIB = env_int("SSM_BACKUP_UPLOAD_MIB", 10240, minimum=1)
# Engines walk all files of a volume to tell its size: that is asked for this seldom (0: only when somebody asks).
SSM_VOLUME_SIZES_HOURS = env_int("SSM_VOLUME_SIZES_HOURS", 6, minimum=0)
# What the web process takes from the network; see ssm.serve.limits. Bodies lie in the folder while they come.
SSM_UPLOAD_DIR = Path(env_str("SSM_UPLOAD_DIR", str(DATA_DIR / "uploads")))
SSM_WEB_CONNECTIONS = env_int("SSM_WEB_CONNECTIONS", 4096, minimum=16)
SSM_WEB_CONNECTIONS_PER_ADDRESS = env_int("SSM_WEB_CONNECTIONS_PER_ADDRESS", 512, minimum=8)
SSM_WEB_REQUESTS_AT_ONCE = env_int("SSM_WEB_REQUESTS_AT_ONCE", 64, minimum=2)
SSM_WEB_UPLOADS_AT_ONCE = env_int("SSM_WEB_UPLOADS_AT_ONCE", 4, minimum=1)
SSM_WEB_HEAD_SECONDS = env_int("SSM_WEB_HEAD_SECONDS", 15, minimum=1, maximum=300)
SSM_WEB_STALL_SECONDS = env_int("SSM_WEB_STALL_SECONDS", 20, minimum=1, maximum=600)
SSM_WEB_STOP_SECONDS = env_int("SSM_WEB_STOP_SECONDS", 8, minimum=0, maximum=3600)
# Of bodies that have no rule of their own; Django refuses what is larger too, should another server stand before it.
DATA_UPLOAD_MAX_MEMORY_SIZE = env_int("SSM_WEB_BODY_KIB", 2560, minimum=256, maximum=65536) * 1024
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG

SSM_TOKEN_DAYS = env_int("SSM_TOKEN_DAYS", 365, minimum=1, maximum=3650)

# Limits of one process; see docs/configuration.md for what each costs.
SSM_HANDSHAKES_AT_ONCE = env_int("SSM_HANDSHAKES_AT_ONCE", 16, minimum=1)
SSM_CONNECTIONS_KEPT = env_int("SSM_CONNECTIONS_KEPT", 600, minimum=1)
SSM_CONNECTION_IDLE_SECONDS = env_int("SSM_CONNECTION_IDLE_SECONDS", 900, minimum=10)
SSM_EVENT_RETENTION_DAYS = env_int("SSM_EVENT_RETENTION_DAYS", 30, minimum=1)
SSM_OPERATION_RETENTION_DAYS = env_int("SSM_OPERATION_RETENTION_DAYS", 365, minimum=1)
SSM_API_REQUESTS_PER_MINUTE = env_int("SSM_API_REQUESTS_PER_MINUTE", 600, minimum=1)
SSM_LOG_LINGER_SECONDS = env_int("SSM_LOG_LINGER_SECONDS", 10, minimum=0)
# Updates: what a new container has to show, and how long the old one is kept (0: removed at once).
SSM_UPDATE_STABLE_SECONDS = env_int("SSM_UPDATE_STABLE_SECONDS", 15, minimum=1, maximum=3600)
SSM_UPDATE_KEEP_HOURS = env_int("SSM_UPDATE_KEEP_HOURS", 24, minimum=0, maximum=24 * 90)
# Registries: a cron expression for those without one of their own (empty: when devices ask), and what is kept.
SSM_REGISTRY_SCHEDULE = env_str("SSM_REGISTRY_SCHEDULE", "")
SSM_REGISTRY_RETENTION_DAYS = env_int("SSM_REGISTRY_RETENTION_DAYS", 30, minimum=1)
# Statistics: what they may cost a host, and what is kept.
SSM_STATISTICS_CALLS_AT_ONCE = env_int("SSM_STATISTICS_CALLS_AT_ONCE", 4, minimum=1, maximum=16)
SSM_STATISTICS_HOST_PERCENT = env_int("SSM_STATISTICS_HOST_PERCENT", 25, minimum=1, maximum=100)
SSM_STATISTICS_DEVICE_SECONDS = env_int("SSM_STATISTICS_DEVICE_SECONDS", 20, minimum=2, maximum=120)
SSM_STATISTICS_FINE_HOURS = env_int("SSM_STATISTICS_FINE_HOURS", 24, minimum=24, maximum=720)
SSM_STATISTICS_COARSE_MINUTES = env_int("SSM_STATISTICS_COARSE_MINUTES", 15, minimum=5, maximum=240)
SSM_STATISTICS_COARSE_DAYS = env_int("SSM_STATISTICS_COARSE_DAYS", 30, minimum=1, maximum=1000)

# Who may read the metrics: programs that send this token, and those at these addresses. Neither: nobody may.
SSM_METRICS_TOKEN = env_secret("SSM_METRICS_TOKEN", "")
SSM_METRICS_ADDRESSES = env_networks("SSM_METRICS_ADDRESSES")

SSM_LOG_FORMAT = env_choice("SSM_LOG_FORMAT", ("line", "json"), "line")
# A record for each request: what collects logs wants it, a terminal does not.
SSM_LOG_REQUESTS = env_bool("SSM_LOG_REQUESTS", SSM_LOG_FORMAT == "json")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "ssm.lib.log_lines.LineFormatter", "format": "%(levelname)s %(name)s: %(message)s"},
        "json": {"()": "ssm.lib.log_json.JsonFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": SSM_LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": env_str("SSM_LOG_LEVEL", "INFO").upper()},
    "loggers": {
        # Every refused handshake would be a traceback; devices.connections says it in one line.
        "paramiko": {"level": "CRITICAL"},
        # What a client can cause; `ssm.serve` counts it.
        "daphne": {"level": "ERROR"},
        # They would write URLs, signed headers and tokens; registries.client logs its requests itself.
        **{name: {"level": "WARNING"} for name in ("httpx", "httpcore", "botocore")},
        # Each log-in is in the audit.
        "axes": {"level": "WARNING"},
        # Two ticks every ten seconds would bury what matters; failures are told at ERROR.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
    },
}
