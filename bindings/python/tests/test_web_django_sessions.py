"""Django's own session: its data stays with the user whose it is."""

from __future__ import annotations

import pytest
from test_web_django import run

COMES = """
from types import SimpleNamespace as Known
from django.contrib.auth.models import User as Account
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from oauth_core.web.django import people

def browser():
    request = HttpRequest()
    request.session = SessionStore()
    return request

def comes(request, subject, user=None):
    who = Known(issuer="https://as.example", subject=subject, claims={})
    people.sign_in(request, who, None, user and (lambda _: user))

def logs_in(request, user):
    login(request, user, "django.contrib.auth.backends.ModelBackend")

def next_request(request):
    following = browser()
    request.session.save()
    following.session = SessionStore(request.session.session_key)
    return following

root, ann = (Account.objects.create_user(name) for name in ("root", "ann"))
"""

CASES = {
    "another person": ('comes(b, "ann"); fill(); comes(b, "bob")', False),
    "the same person": ('comes(b, "ann"); fill(); comes(b, "ann")', True),
    "another person, who has the same user": ('comes(b, "ann", ann); fill(); comes(b, "anna", ann)', True),
    "the same person, who has another user": ('comes(b, "ann", ann); fill(); comes(b, "ann", root)', False),
    "a stranger": ('fill(); comes(b, "ann")', True),
    "after a password of another": ('logs_in(b, root); fill(); comes(b, "ann", ann)', False),
    "after their own password": ('logs_in(b, ann); fill(); comes(b, "ann", ann)', True),
    "another's password": ('comes(b, "ann", ann); fill(); logs_in(b, root)', False),
    "their own password": ('comes(b, "ann", ann); fill(); logs_in(b, ann)', True),
    "two passwords, then the first": (
        'comes(b, "ann", ann); fill(); logs_in(b, root); fill(); comes(b, "ann", ann)', False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_data_of_a_session_stays_with_its_user(name: str) -> None:
    steps, is_kept = CASES[name]
    program = f"""
b = browser()
def fill(): b.session["address"] = "1 Main Street"
for step in {steps.split("; ")!r}:
    key = b.session.session_key
    exec(step)
    b = next_request(b)
# Session fixation: no key from before is valid.
assert b.session.session_key != key and not SessionStore().exists(key)
print("address" in b.session)
"""
    assert run(COMES + program).strip() == str(is_kept)


def test_a_login_with_a_password_is_kept_where_the_data_goes() -> None:
    program = """
b = browser()
comes(b, "ann", ann)
b.session["address"] = "1 Main Street"
logs_in(b, root)
from django.contrib.auth import get_user
assert "address" not in b.session
print(get_user(next_request(b)))
"""
    assert run(COMES + program).strip() == "root"


def test_data_is_not_passed_on_when_a_session_has_expired() -> None:
    # The cookie of the sign-in goes first; Django's own lasts for two weeks.
    program = """
def fill(request):
    request.session["address"] = request.GET["address"]
    return HttpResponse("kept")

urlpatterns += [path("fill", fill)]

ann = Client()
request = browser()
comes(request, "ann")
request.session.save()
ann.cookies["sessionid"] = request.session.session_key
ann.get("/fill?address=Main")
assert ann.get("/me").status_code == 302
b = browser()
b.session = SessionStore(ann.cookies["sessionid"].value)
assert b.session["address"] == "Main"
comes(b, "bob")
print("address" in b.session)
"""
    assert run(COMES + program).strip() == "False"
