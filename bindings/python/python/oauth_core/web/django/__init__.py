"""Django: ``@login_required``, ``request.user``, permissions and the admin work as usual.

    INSTALLED_APPS += ["oauth_core.web.django"]
    MIDDLEWARE += ["oauth_core.web.django.Middleware"]
    LOGIN_URL = "/auth/login"

The settings are those of ``oauth_core.web.Site.from_env``: environment variables, or members of the dict ``OAUTH``. It
may have ``access`` too, whom all pages admit (``open`` by default), and hooks, functions or their dotted paths:
``admit``, ``error_page``, ``signed_out`` and ``provider`` as ``Site`` has them, and ``user``, which returns the user for
an identity at each sign-in, in place of the table of people and the new users that are created for new people. They may
use the database.
"""

from __future__ import annotations

from .._types import Refuse
from .middleware import Middleware
from .views import required

__all__ = ["Middleware", "Refuse", "required"]
