"""Django's session: its data is kept for the same user only."""

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
def test_session_data_is_kept_for_the_same_user_only(name: str) -> None:
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


def test_a_password_login_as_another_user_is_kept_when_session_data_is_deleted() -> None:
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


def test_data_of_an_expired_session_is_not_passed_to_the_next_user() -> None:
    # The login cookie expires first; Django's session lasts for two weeks.
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
