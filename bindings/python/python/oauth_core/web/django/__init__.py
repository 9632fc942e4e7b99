"""The Django application: sign-in for ``@login_required``, ``request.user``, permissions and the admin.

    INSTALLED_APPS += ["oauth_core.web.django"]
    MIDDLEWARE += ["oauth_core.web.django.Middleware"]
    LOGIN_URL = "/auth/login"

The settings are those of ``oauth_core.web.Site.from_env``: environment variables, or members of the dict ``OAUTH``. It
may also contain ``access``, which says who may see all pages (``open`` by default), and hooks, as functions or dotted
paths: ``admit``, ``error_page``, ``signed_out`` and ``provider`` like those of ``Site``, and ``user``, which returns the
user for an identity at each sign-in, and replaces the table of people, which creates users for new people. Hooks may use
the database.
"""

from __future__ import annotations

from .._types import Refuse
from .middleware import Middleware
from .views import required

__all__ = ["Middleware", "Refuse", "required"]
