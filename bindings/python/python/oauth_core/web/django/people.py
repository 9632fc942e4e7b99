"""Logs people in and out as Django users, with Django's own sessions and signals."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpRequest

from ..._native import Identity
from .._types import Refuse
from .models import Person
from .site import SERVED

# The session key with the id of the user whom this package has signed in; SESSION_KEY is that of Django's own login.
_USER = "_oauth_core_user_id"
_LOGIN_KEYS = (SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY)


def sign_in(request: HttpRequest, identity: Identity, admit: Any, find_user: Any) -> Any:
    """Asks the application whether to admit the person, and finds or creates their user."""
    local = admit(identity) if admit else None
    if find_user is None:
        person = get_or_create_person(identity)
    else:
        found = {"user": find_user(identity)}
        person, _ = Person.objects.update_or_create(
            defaults=found, issuer=identity.issuer, subject=identity.subject
        )
    user: Any = person.user
    if not user.is_active:
        raise Refuse("This account is not active.")
    if hasattr(request, "session"):
        _start_session(request.session, user)
    user_logged_in.send(sender=type(user), request=request, user=user)
    return local


def _start_session(session: Any, user: Any) -> None:
    """Assigns Django's session to this user, as its ``login`` does."""
    key = _session_key(user)
    if any(session.get(name, key) != key for name in (_USER, SESSION_KEY)):
        # The session contains data of a different user, whether they have signed out or not.
        session.flush()
    else:
        # Against session fixation: the earlier session key is no longer valid.
        session.cycle_key()
    session[_USER] = key


def _session_key(user: Any) -> str:
    return str(user._meta.pk.value_to_string(user))


def sign_out(request: HttpRequest, identity: Identity, hook: Any) -> None:
    """Logs the user out of Django, and calls the application's ``signed_out`` hook."""
    user = get_user(identity)
    signed_in_user = None if user.is_anonymous else user
    user_logged_out.send(sender=type(signed_in_user) if signed_in_user else get_user_model(), request=request, user=signed_in_user)
    if hasattr(request, "session"):
        request.session.flush()
    if hook:
        hook(identity)


def connect_signals() -> None:
    """Connects signals, so that a logout, or a login as another user, by Django's functions in a view also ends the session."""
    user_logged_out.connect(_on_logout, dispatch_uid="oauth_core.out")
    user_logged_in.connect(_on_login, dispatch_uid="oauth_core.in")


def _on_logout(sender: Any, request: Any = None, **_: Any) -> None:
    served = _served_request(request)
    if served is not None:
        _leave(served)


def _on_login(sender: Any, request: Any = None, user: Any = None, **_: Any) -> None:
    session = getattr(request, "session", None)
    if session is not None and user is not None and session.get(_USER, _session_key(user)) != _session_key(user):
        # Django only compares with the user of its own last login.
        for name in [name for name in session.keys() if name not in _LOGIN_KEYS]:
            del session[name]
    served = _served_request(request)
    if served is not None and get_user(served.oauth_session.identity).pk != getattr(user, "pk", None):
        _leave(served)


def _leave(served: Any) -> None:
    served.oauth = served.oauth_session = None
    served.oauth_left = True


def _served_request(request: Any) -> Any:
    """The request that the middleware is serving with a session, if it is this one, even if wrapped."""
    served: Any = SERVED.get((None, None))[0]
    is_this = served is not None and getattr(request, "META", None) is served.META
    return served if is_this and getattr(served, "oauth_session", None) is not None else None


def get_user(identity: Identity) -> Any:
    """The person's user, if active."""
    people = Person.objects.select_related("user")
    person = people.filter(issuer=identity.issuer, subject=identity.subject).first()
    user: Any = person and person.user
    return user if user and user.is_active else AnonymousUser()


def get_or_create_person(identity: Any) -> Person:
    """The person, created together with a user on the first sign-in."""
    lookup = {"issuer": identity.issuer, "subject": identity.subject}
    person, _ = Person.objects.get_or_create(defaults={"user": lambda: _user(identity)}, **lookup)
    return person


def _user(identity: Any) -> Any:
    model: Any = get_user_model()
    # No claim selects a user: anyone who can set the claim could select another user.
    digest_input = f"{len(identity.issuer)}:{identity.issuer}{identity.subject}"
    name = hashlib.sha256(digest_input.encode()).hexdigest()[:32]
    user = model._default_manager.create_user(**{model.USERNAME_FIELD: name})
    claims = identity.claims
    fields = {"email": "email", "first_name": "given_name", "last_name": "family_name"}
    if not (claims.get("given_name") or claims.get("family_name")):
        # The family name cannot be guessed from a full name.
        fields["first_name"] = "name"
    for field, claim in fields.items():
        text = claims.get(claim)
        if isinstance(text, str) and hasattr(user, field):
            setattr(user, field, text[: model._meta.get_field(field).max_length])
    user.save()
    return user
