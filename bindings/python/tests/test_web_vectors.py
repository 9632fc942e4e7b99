"""Complete sign-ins, the same in every language: the files of ``tests/vectors/web``."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from conftest import Twin, approve
from test_web_site import KEY

import oauth_core
from oauth_core._native import Forward, Streamed
from oauth_core.stores import MemoryStore
from oauth_core.web import Need, Provider, Reply, Request, Site

SHOP = "https://shop.example"
PLACE = Path(__file__).parents[3] / "tests/vectors/web"
FILES = [
    json.loads((PLACE / f"{name}.json").read_text())
    for name in ("sign_ins", "pages", "cookies", "security", "complaints")
]
SUBJECT = FILES[0]["subject"]
SIGN_INS = [sign_in for file in FILES for sign_in in file["sign_ins"]]
SITES = {"elsewhere": "cross-site", "sibling": "same-site", "own": "same-origin", "typed": "none"}
ORIGINS = {"elsewhere": "https://elsewhere.example", "sibling": "https://evil.shop.example"}
FORM = "application/x-www-form-urlencoded"


def kind(cookie: str, name: str) -> str:
    """The kind of a cookie of the site, by its name."""
    assert cookie.startswith(f"__Host-Http-{name}"), cookie
    return (cookie.removeprefix(f"__Host-Http-{name}").split("-") + ["session"])[1]


def shape(field: str, name: str) -> tuple[str, str]:
    """A cookie by its kind, its SameSite or end, and its lifetime."""
    pair, *attributes = field.split("; ")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(attributes), field
    named = dict(one.split("=") for one in attributes if "=" in one)
    assert "Domain" not in named, field
    cookie_kind, seconds = kind(pair.split("=")[0], name), named["Max-Age"]
    return f"{cookie_kind} {'ended' if seconds == '0' else named['SameSite']}", f"{cookie_kind} {seconds}"


class Browser:
    """Keeps cookies, and sends them according to SameSite."""

    def __init__(self, cookies: dict[str, tuple[str, str]] | None = None) -> None:
        self.cookies = dict(cookies or {})

    def request(self, step: dict[str, Any], verb: str, places: dict[str, str]) -> Request:
        origin = step.get("from", "own" if verb == "fetch" else "typed")
        page = verb in ("get", "submit")
        safe = verb == "get" or (verb == "fetch" and "method" not in step)
        headers = {
            "sec-fetch-site": SITES[origin],
            "sec-fetch-mode": "navigate" if page else "cors",
            "sec-fetch-dest": "document" if page else "empty",
            "accept": "text/html,*/*" if page else "application/json",
        }
        if not safe:
            headers["origin"] = ORIGINS.get(origin, SHOP)
        if "purpose" in step:
            headers["sec-purpose"] = step["purpose"]
        sent = [
            f"{name}={value}"
            for name, (value, same_site) in self.cookies.items()
            if origin != "elsewhere" or same_site == "None" or (same_site == "Lax" and verb == "get")
        ]
        cookies = [step["also"], *sent] if "also" in step else sent
        if cookies:
            headers["cookie"] = "; ".join(cookies)
        form = None
        if "form" in step:
            headers["content-type"] = FORM
            form = fill_placeholders(step["form"], places).encode()
        headers |= step.get("headers", {})
        method = step.get("method", "POST" if verb in ("post", "submit") else "GET")
        fields = [(name, value) for name, value in headers.items() if value is not None]
        host = step.get("host", "shop.example")
        return Request(method, host, fill_placeholders(step[verb], places), fields, form)

    def store_cookies(self, reply: Reply) -> None:
        for field in (value for name, value in reply.headers if name == "set-cookie"):
            pair, *attributes = field.split("; ")
            name, _, value = pair.partition("=")
            self.cookies.pop(name, None)
            if "Max-Age=0" not in attributes:
                same_site = next(one for one in attributes if one.startswith("SameSite="))
                self.cookies[name] = (value, same_site.removeprefix("SameSite="))

    def rename(self, start: str, to: str, before: str) -> None:
        is_prefix = start.endswith("-")
        name = next(name for name in self.cookies if (name.startswith(start) if is_prefix else name == start))
        value, same_site = self.cookies.pop(name)
        self.cookies[to] = (before + value, same_site)


def fill_placeholders(text: str, places: dict[str, str]) -> str:
    """Replaces the placeholders in a string by the targets of earlier steps."""
    for name, value in places.items():
        text = text.replace(name, value)
    return text


def sent(expected: Any, values: list[str]) -> bool:
    """Whether a parameter has this value, is present (``true``), or absent (``null``)."""
    return not values if expected is None else values == [expected] or (expected is True and values != [""] != [])


def summarize(reply: Reply, name: str, provider: str, then: dict[str, Any]) -> dict[str, Any]:
    """The members of a response that the vector compares, without random values."""
    headers = dict(reply.headers)
    summary: dict[str, Any] = {"status": reply.status}
    place = headers.get("location", "")
    if place:
        there = f"provider {urlsplit(place).path}"
        summary["location"] = there if place.startswith(provider) else place.removeprefix(SHOP)
    if headers.get("content-type") == "application/problem+json":
        summary["code"] = json.loads(reply.body)["code"]
    cookies = [shape(value, name) for field, value in reply.headers if field == "set-cookie"]
    if cookies:
        summary["cookies"] = sorted(cookie for cookie, _ in cookies)
    if "lives" in then:
        summary["lives"] = sorted(lives for _, lives in cookies)
    if then.get("shows", "\0") in reply.body.decode():
        summary["shows"] = then["shows"]
    if "fields" in then:
        summary["fields"] = {
            field: headers.get(field, "").replace(provider, "provider") for field in then["fields"]
        }
    if "json" in then:
        summary["json"] = {member: value for member, value in json.loads(reply.body).items() if member != "until"}
    if "sends" in then:
        query = parse_qs(urlsplit(place).query, keep_blank_values=True)
        expected_members = then["sends"].items()
        summary["sends"] = {name: value for name, value in expected_members if sent(value, query.get(name, []))}
    return summary


def posted(url: str) -> str:
    """The form of the provider's page (response_mode form_post)."""
    with urllib.request.urlopen(url) as page:
        fields = re.findall(r'name="([^"]*)" value="([^"]*)"', page.read().decode())
    return urlencode(fields)


class Play:
    """One sign-in: a site, browsers of users, and the redirect targets so far."""

    def __init__(self, site: Site, twin: Twin, name: str) -> None:
        self.site, self.twin, self.name = site, twin, name
        self.browsers: dict[str, Browser] = {"ann": Browser()}
        self.places = {"{issuer}": quote(twin.base, safe="")}
        self.last = ""

    def set_placeholder(self, name: str, target: str) -> None:
        self.places |= {f"{{{name}}}": target, f"{{{name}?}}": f"?{urlsplit(target).query}"}

    def run_outside_site(self, step: dict[str, Any], browser: Browser) -> bool:
        """Runs a step outside of the site's pages, and returns whether it was one."""
        if "provider" in step:
            posts = "response_mode=form_post" in self.last
            target = posted(self.last) if posts else approve(self.last).removeprefix(SHOP)
            self.set_placeholder(step["provider"], target)
        elif "copy" in step:
            self.browsers[step["copy"]] = Browser(self.browsers["ann"].cookies)
        elif "claim" in step:
            value = step["value"]
            self.twin.claim(step["claim"], value * step["length"] if "length" in step else value)
        elif "deny" in step:
            self.twin.deny()
        elif "logout_token" in step:
            self.set_placeholder(step["logout_token"], self.twin.logout_token(step.get("flaw")))
        elif "drop" in step:
            browser.cookies.pop(step["drop"])
        elif "rename" in step:
            browser.rename(step["rename"], step["to"], step.get("before", ""))
        elif "jar" in step:
            assert sorted(kind(cookie, self.name) for cookie in browser.cookies) == step["jar"], step
        else:
            return False
        return True

    def called(self) -> str:
        """The request that the API received, without the headers that only the site uses. It only responds to the user's token."""
        call = self.twin.log[-1]
        assert "cookie" not in dict(call["headers"])
        query = urlencode([(name, value) for name, value in call["query"]])
        return str(call["path"]) + (f"?{query}" if query else "")

    def step(self, step: dict[str, Any], browser: Browser) -> dict[str, Any]:
        verb = next(verb for verb in ("get", "post", "fetch", "submit") if verb in step)
        request = browser.request(step, verb, self.places)
        need = Need(**step.get("need", {}))
        ended = self.site.visit(request, step.get("access", "signed_in"), need)
        then = step["then"]
        if isinstance(ended, Forward):
            api_response = ended.send(b"")
            assert isinstance(api_response, Streamed) and api_response.status == 200
            return {"forwarded": self.called()}
        if isinstance(ended, Reply):
            browser.store_cookies(ended)
            self.last = dict(ended.headers).get("location", self.last)
            return summarize(ended, self.name, self.twin.base, then)
        assert ended is None or ended.subject == SUBJECT
        return {"user": ended is not None}


@pytest.mark.parametrize("sign_in", SIGN_INS, ids=[one["name"] for one in SIGN_INS])
def test_sign_in_vectors_have_the_same_result_in_every_language(
    generic: Twin, client: oauth_core.Client, sign_in: dict[str, Any]
) -> None:
    site_settings = json.loads(json.dumps(sign_in.get("site", {})).replace("{provider}", generic.base))
    settings = {"base_url": SHOP, "key": KEY, "transport": "loopback_http", **site_settings}
    if "api" in settings:
        settings["api"] = {name: (api["url"], api["methods"]) for name, api in settings["api"].items()}
    store = MemoryStore() if sign_in.get("stored") else None
    scope = "openid read offline_access"
    providers = [Provider(client, **{"scope": scope, **one}) for one in sign_in.get("providers", [{}])]
    site = Site(providers=providers, store=store, **settings)
    callback = f"{SHOP}{settings.get('prefix', '/auth')}/callback"
    for end in ("", *(f"/{one['id']}" for one in sign_in.get("providers", []))):
        generic.register(callback + end)
    play = Play(site, generic, settings.get("name", "oauth-session"))
    for step in sign_in["steps"]:
        browser = play.browsers.setdefault(step.get("as", "ann"), Browser())
        if not play.run_outside_site(step, browser):
            assert play.step(step, browser) == step["then"], step
