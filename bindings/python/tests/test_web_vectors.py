"""Whole sign-ins, as every language plays them: ``tests/vectors/web/sign_ins.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import Twin, approve
from test_web_site import KEY

import oauth_core
from oauth_core.stores import Memory
from oauth_core.web import Provider, Reply, Request, Site

SHOP = "https://shop.example"
VECTORS = json.loads((Path(__file__).parents[3] / "tests/vectors/web/sign_ins.json").read_text())
SITES = {"elsewhere": "cross-site", "own": "same-origin", "typed": "none"}


def shape(field: str, name: str) -> str:
    """A cookie by its kind, and what becomes of it."""
    pair, *attributes = field.split("; ")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(attributes), field
    assert not any(one.startswith("Domain") for one in attributes), field
    whole = pair.split("=")[0]
    assert whole.startswith(f"__Host-Http-{name}"), field
    kind = (whole.removeprefix(f"__Host-Http-{name}").split("-") + ["session"])[1]
    same_site = next(one.removeprefix("SameSite=") for one in attributes if one.startswith("SameSite="))
    return f"{kind} {'ended' if 'Max-Age=0' in attributes else same_site}"


class Browser:
    """Keeps cookies, by what SameSite says."""

    def __init__(self, cookies: dict[str, tuple[str, str]] | None = None) -> None:
        self.cookies = dict(cookies or {})

    def request(self, step: dict[str, Any], verb: str, target: str) -> Request:
        came = step.get("from", "own" if verb == "fetch" else "typed")
        page = verb == "get"
        headers = [
            ("sec-fetch-site", SITES[came]),
            ("sec-fetch-mode", "navigate" if page else "cors"),
            ("sec-fetch-dest", "document" if page else "empty"),
            ("accept", "text/html,*/*" if page else "application/json"),
        ]
        if verb == "post":
            headers.append(("origin", "https://elsewhere.example" if came == "elsewhere" else SHOP))
        if "purpose" in step:
            headers.append(("sec-purpose", step["purpose"]))
        sent = [
            f"{name}={value}"
            for name, (value, same_site) in self.cookies.items()
            if came != "elsewhere" or same_site == "None" or (same_site == "Lax" and verb != "post")
        ]
        if sent:
            headers.append(("cookie", "; ".join(sent)))
        return Request("POST" if verb == "post" else "GET", "shop.example", target, headers)

    def keep(self, reply: Reply) -> None:
        for field in (value for name, value in reply.headers if name == "set-cookie"):
            pair, *attributes = field.split("; ")
            name, _, value = pair.partition("=")
            self.cookies.pop(name, None)
            if "Max-Age=0" not in attributes:
                same_site = next(one for one in attributes if one.startswith("SameSite="))
                self.cookies[name] = (value, same_site.removeprefix("SameSite="))


def told(reply: Reply, name: str, provider: str) -> dict[str, Any]:
    """What a response is, without what chance has made."""
    headers = dict(reply.headers)
    said: dict[str, Any] = {"status": reply.status}
    if "location" in headers:
        place = headers["location"]
        there = f"provider {urlsplit(place).path}"
        said["location"] = there if place.startswith(provider) else place.removeprefix(SHOP)
    if headers.get("content-type") == "application/problem+json":
        said["code"] = json.loads(reply.body)["code"]
    cookies = sorted(shape(value, name) for field, value in reply.headers if field == "set-cookie")
    return {**said, **({"cookies": cookies} if cookies else {})}


@pytest.mark.parametrize("sign_in", VECTORS["sign_ins"], ids=[one["name"] for one in VECTORS["sign_ins"]])
def test_whole_sign_ins_are_as_in_every_language(
    generic: Twin, client: oauth_core.Client, sign_in: dict[str, Any]
) -> None:
    settings = {"base_url": SHOP, "key": KEY, "transport": "loopback_http", **sign_in.get("site", {})}
    store = Memory() if sign_in.get("stored") else None
    scope = "openid read offline_access"
    site = Site(providers=[Provider(client, scope=scope)], store=store, **settings)
    generic.register(f"{SHOP}{settings.get('prefix', '/auth')}/callback")
    name = settings.get("name", "oauth-session")
    browsers: dict[str, Browser] = {"ann": Browser()}
    places: dict[str, str] = {}
    last = ""
    for step in sign_in["steps"]:
        if "provider" in step:
            places[f"{{{step['provider']}}}"] = approve(last).removeprefix(SHOP)
            continue
        if "copy" in step:
            browsers[step["copy"]] = Browser(browsers["ann"].cookies)
            continue
        verb = next(verb for verb in ("get", "post", "fetch") if verb in step)
        browser = browsers.setdefault(step.get("as", "ann"), Browser())
        request = browser.request(step, verb, places.get(step[verb], step[verb]))
        ended = site.visit(request, step.get("access", "signed_in"))
        if isinstance(ended, Reply):
            browser.keep(ended)
            last = dict(ended.headers).get("location", last)
            said = told(ended, name, generic.base)
        else:
            assert ended is None or ended.subject == VECTORS["subject"]  # type: ignore[union-attr]
            said = {"user": ended is not None}
        assert said == step["then"], step
