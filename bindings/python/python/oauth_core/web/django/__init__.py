"""Django: ``@login_required``, ``request.user``, permissions and the admin work as usual.

    INSTALLED_APPS += ["oauth_core.web.django"]
    MIDDLEWARE += ["oauth_core.web.django.Middleware"]
    LOGIN_URL = "/auth/login"

The settings are those of ``oauth_core.web.Site.from_env``: environment variables, or members of the dict ``OAUTH``. It may
have ``access`` too, what all pages take (``open`` unless it is given), and hooks, functions or their dotted paths:
``admit`` and ``error_page`` as ``Site`` has them, and ``user``, which gives the user of an identity at each sign-in, in
place of the table of people and a user of their own for those who are new.
"""

from __future__ import annotations

from .._types import Refuse
from .middleware import Middleware
from .views import required

__all__ = ["Middleware", "Refuse", "required"]
