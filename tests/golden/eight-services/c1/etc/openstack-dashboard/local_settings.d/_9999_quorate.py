# Written by quorate. Read last of all settings.
import os

SECRET_KEY = "⟦secret:horizon/cookies⟧"
# The balancers ask by the service's name.
ALLOWED_HOSTS = ["198.18.0.108", "[198.18.0.108]", "horizon"]
OPENSTACK_KEYSTONE_URL = "https://198.18.0.101:5000/v3"
OPENSTACK_SSL_CACERT = "/etc/openstack-dashboard/tls/ca.pem"
OPENSTACK_KEYSTONE_DEFAULT_ROLE = "member"
# TLS ends at the balancer and begins again behind it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
# Sessions lie in the database, so that they outlive any host. A cache loses those
# that it holds; a cookie of 4 KB is outgrown (2.2 with four services, whose list is
# part of it), and one that was copied is good after the logout too.
SESSION_ENGINE = "django.contrib.sessions.backends.db"
# In each process: by default it would unpickle what whoever listens on a port of the
# host tells it.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
# A connection a request: none is ever left over from before a failover.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.mysql",
        "HOST": os.environ.get("HORIZON_DATABASE_HOST", "198.18.0.100"),
        "NAME": "horizon",
        "USER": "horizon",
        "PASSWORD": "⟦secret:horizon/database⟧",
        "OPTIONS": {"ssl": {"ca": "/etc/openstack-dashboard/tls/ca.pem"}, "connect_timeout": 5},
    }
}
