"""Ten thousand access tokens, judged by this package and by PyJWT, which shares no line with it.

Each difference must be of a kind that is listed here, with its reason.
"""

from __future__ import annotations

import base64
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
from conftest import ROOT

import oauth_core

TOKENS = 10_000
SEED = 20_260
ISSUER = "https://as.example"
AUDIENCE = "https://api.example"
SKEW = 60
KEYS = json.loads((ROOT / "tests/vectors/vectors.json").read_text("utf-8"))["keys"]["as_private"]
ALGS = {"RS256": "rsa1", "PS256": "rsa1", "ES256": "ec1", "ES384": "ec384", "EdDSA": "ed1"}

Json = dict[str, Any]
Signers = dict[str, Callable[[bytes], bytes]]

#: Why we refuse what PyJWT takes: by our code, and the flaw that was put in.
STRICTER = {
    ("jwt.typ", "typ"): "the type is at+jwt (RFC 9068 section 4); PyJWT compares none",
    ("jwt.missing_claim", "client_id"): "client_id and jti are required (RFC 9068 section 2.2)",
    ("jwt.missing_claim", "jti"): "client_id and jti are required (RFC 9068 section 2.2)",
    ("jwt.malformed_claim", "client_id"): "it is text, and not empty",
    ("jwt.malformed_claim", "scope"): "it is text (RFC 8693 section 4.2)",
    ("jwt.malformed_claim", "sub"): "it names somebody: text that is not empty",
    ("jwt.malformed_claim", "exp"): "a NumericDate is a number (RFC 7519 section 2), no text of digits",
    ("jwt.malformed_claim", "iat"): "a NumericDate is a number (RFC 7519 section 2)",
    ("jwt.malformed_claim", "nbf"): "a NumericDate is a number (RFC 7519 section 2), no text of digits",
    ("jwt.unexpected_claim", "foreign"): "events make it a logout token",
    ("jws.duplicate_member", "twice in the header"): "names are unique (RFC 7515 section 4)",
    ("jwt.duplicate_member", "twice in the claims"): "names are unique (RFC 7519 section 4)",
    ("jws.malformed", "typ"): "a type is text",
    ("jwt.malformed", "mark"): "JSON has no byte order mark (RFC 8259 section 8.1)",
    ("jws.malformed", "padding"): "base64url has no padding (RFC 7515 section 2)",
    ("jwt.malformed", "not a number"): "NaN and Infinity are no JSON (RFC 8259 section 6)",
    ("jwt.malformed", "nesting"): "deep nesting is no claim",
    ("jwt.malformed", "surrogate"): "half a character is no text (RFC 8259 section 8.2)",
}

#: Why PyJWT refuses what we take: by its exception, and the flaw.
LOOSER: dict[tuple[str, str], str] = {}


def base64url(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def to_json_bytes(value: object) -> bytes:
    return json.dumps(value).encode()


@dataclass
class Token:
    """A token under construction, and its flaws."""

    alg: str
    header: Json
    claims: Json
    key: str
    flaws: list[str] = field(default_factory=list)
    #: Serialize the claims and the header, and finish the token.
    serialize_claims: Callable[[Json], bytes] = to_json_bytes
    serialize_header: Callable[[Json], bytes] = to_json_bytes
    finish: Callable[[str], str] = str


def signers() -> Signers:
    def signer(alg: str, kid: str) -> Callable[[bytes], bytes]:
        algorithm = jwt.get_algorithm_by_name(alg)
        key = algorithm.from_jwk(KEYS[kid])
        return lambda data: algorithm.sign(data, key)

    return {alg: signer(alg, kid) for alg, kid in ALGS.items()}


def key_set() -> list[Json]:
    """A public key for each algorithm, named like it."""
    members = ("kty", "n", "e", "crv", "x", "y")
    return [
        {name: KEYS[kid][name] for name in members if name in KEYS[kid]} | {"kid": alg, "alg": alg}
        for alg, kid in ALGS.items()
    ]


UNEXPECTED_VALUES: list[Any] = [None, 7, -1, True, "", "another", ["another"], [], {}, 1.5]


class RandomChoices(random.Random):
    """A random number generator with a fixed seed: the tokens are the same in every run."""

    def claim(self, token: Token, name: str, now: int) -> None:
        times = [now - 7200, now - SKEW // 2, now, now + SKEW // 2, now + 7200, now + 0.5]
        good = token.claims.get(name)
        values: dict[str, list[Any]] = {
            "exp": [*times, str(now + 7200), f"{now + 7200}.5", 10**30, -now],
            "iat": [*times, str(now)],
            "nbf": [*times, str(now), 0],
            "aud": [
                [AUDIENCE], [AUDIENCE, "b"], ["b"], [AUDIENCE, 7],
                f"{AUDIENCE}/", f"{AUDIENCE} b", AUDIENCE.upper(),
            ],
            "iss": [f"{ISSUER}/", [ISSUER], ISSUER.upper(), "https://as.example.evil"],
            "scope": ["read  write", "a\\b", ["read"]],
        }
        if good is not None and self.random() < 0.2:
            del token.claims[name]
        else:
            token.claims[name] = self.choice(values.get(name, []) + UNEXPECTED_VALUES)

    def add_flaw(self, token: Token, kind: str, now: int, before: str) -> None:
        """Adds a flaw or an oddity of this kind to the token."""
        token.flaws.append(kind)
        if kind in CLAIMS:
            self.claim(token, kind, now)
        elif kind == "foreign":
            token.claims |= self.choice([{"nonce": "n"}, {"events": {}}, {"extra": UNEXPECTED_VALUES}])
        elif kind in HEADER:
            self.of_header(token, kind)
        elif kind in SPELLING:
            self.add_json_flaw(token, kind)
        else:
            self.add_serialization_flaw(token, kind, before)

    def of_header(self, token: Token, kind: str) -> None:
        header = token.header
        if kind == "typ":
            types = ["JWT", "application/at+jwt", "AT+JWT", "logout+jwt", "", None, 7]
            header["typ"] = self.choice(types)
        elif kind == "no typ":
            header.pop("typ", None)
            token.flaws[-1] = "typ"
        elif kind == "kid":
            header["kid"] = self.choice(["unknown", "", *ALGS])
        elif kind == "alg":
            header["alg"] = self.choice(["none", "HS256", "RS512", "rs256", "", None, 7, *ALGS])
        elif kind == "signer":
            token.key = self.choice([*ALGS])
        elif kind == "extension":
            crit = self.choice([["exp"], ["b64"], ["x"], [], "x", ["alg"], ["x", "x"], None])
            header |= {"crit": crit, "x": 1} if self.random() < 0.5 else {"crit": crit}
        else:
            header |= self.choice(MEMBERS)

    def add_json_flaw(self, token: Token, kind: str) -> None:
        def with_texts(before: bytes, after: bytes) -> Callable[[Json], bytes]:
            return lambda value: before + to_json_bytes(value)[1:-1] + after

        if kind == "twice in the header":
            token.serialize_header = with_texts(b'{"alg":"none",', b"}")
        elif kind == "twice in the claims":
            token.serialize_claims = with_texts(b'{"sub":"admin",', b"}")
        elif kind == "trailing":
            token.serialize_claims = with_texts(b"{", self.choice([b"} ", b"}\n", b"}x", b"}{}", b"},"]))
        elif kind == "mark":
            token.serialize_claims = with_texts(b"\xef\xbb\xbf{", b"}")
        elif kind == "not a number":
            odd = self.choice([b',"x":NaN}', b',"x":-Infinity}', b',"exp":NaN}'])
            token.serialize_claims = with_texts(b"{", odd)
        elif kind == "nesting":
            deep = self.choice([40, 400])
            token.serialize_claims = with_texts(b"{", b',"x":' + b"[" * deep + b"]" * deep + b"}")
        elif kind == "surrogate":
            token.serialize_claims = with_texts(b"{", b',"x":"\\ud800"}')
        elif kind == "octets":
            token.serialize_claims = with_texts(b"{", b',"x":"\xff"}')
        else:
            token.serialize_claims = lambda value: self.choice([b"[]", b'"text"', b"null", b"", b"{}"])

    def add_serialization_flaw(self, token: Token, kind: str, before: str) -> None:
        place = self.random()

        def parts(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
            return lambda text: ".".join(change(text.split(".")))

        def change_character(which: int) -> Callable[[list[str]], list[str]]:
            def change(parts: list[str]) -> list[str]:
                at = int(place * len(parts[which]))
                other = "A" if parts[which][at : at + 1] != "A" else "B"
                parts[which] = parts[which][:at] + other + parts[which][at + 1 :]
                return parts

            return change

        def last_bits(parts: list[str]) -> list[str]:
            # The last character of most signatures has unused bits.
            alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
            spare = {2: 4, 3: 2}.get(len(parts[2]) % 4, 0)
            value = alphabet.index(parts[2][-1]) ^ (1 if spare else 0)
            return [*parts[:2], parts[2][:-1] + alphabet[value]]

        changes: dict[str, Callable[[list[str]], list[str]]] = {
            "flip in the header": change_character(0),
            "flip in the claims": change_character(1),
            "flip in the signature": change_character(2),
            "trailing bits": last_bits,
            "padding": lambda parts: [*parts[:2], parts[2] + "=" * (-len(parts[2]) % 4)],
            "line break": lambda parts: [*parts[:2], parts[2][:9] + "\n" + parts[2][9:]],
            "alphabet": lambda parts: [*parts[:2], parts[2].replace("-", "+").replace("_", "/")],
            "signature of another": lambda parts: [*parts[:2], before.rpartition(".")[2]],
            "no signature": lambda parts: [*parts[:2], ""],
            "two parts": lambda parts: parts[:2],
            "four parts": lambda parts: [*parts, "x"],
            "nested": lambda parts: [parts[0], base64url(".".join(parts).encode()), parts[2]],
        }
        if kind == "truncated":
            token.finish = lambda text: text[: int(place * len(text))]
        else:
            token.finish = parts(changes[kind])


MEMBERS: list[Json] = [
    {"jku": "https://evil.example"}, {"jwk": {"kty": "oct", "k": "AAAA"}}, {"x5c": "x"},
    {"kid": 7}, {"kid": None},
]
CLAIMS = ["iss", "aud", "exp", "iat", "nbf", "sub", "client_id", "jti", "scope"]
HEADER = ["typ", "no typ", "kid", "alg", "signer", "extension", "member"]
SPELLING = [
    "twice in the header", "twice in the claims", "trailing", "mark", "not a number", "nesting",
    "surrogate", "octets", "no claims",
]
SHAPE = [
    "flip in the header", "flip in the claims", "flip in the signature", "trailing bits", "padding",
    "line break", "alphabet", "signature of another", "no signature", "two parts", "four parts",
    "nested", "truncated",
]


def made(dice: RandomChoices, sign: Signers, now: int, before: str) -> tuple[str, list[str]]:
    alg = dice.choice([*ALGS])
    token = Token(
        alg=alg,
        header={"alg": alg, "kid": alg, "typ": "at+jwt"},
        claims={
            "iss": ISSUER, "aud": AUDIENCE, "sub": "u", "client_id": "c", "jti": str(dice.random()),
            "scope": "read", "iat": now, "exp": now + 7200,
        },
        key=alg,
    )
    kinds = [*CLAIMS, *CLAIMS, "foreign", *HEADER, *SPELLING, *SHAPE]
    for _ in range(dice.choice([0, 1, 1, 1, 1, 1, 2])):
        dice.add_flaw(token, dice.choice(kinds), now, before)
        # A second spelling would take the place of the first.
        kinds = [*CLAIMS, *HEADER]
    text = f"{base64url(token.serialize_header(token.header))}.{base64url(token.serialize_claims(token.claims))}"
    return token.finish(f"{text}.{base64url(sign[token.key](text.encode()))}"), token.flaws


class Ours:
    def __init__(self, keys: list[Json]) -> None:
        metadata = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks"}
        server = oauth_core.Server.from_metadata(ISSUER, metadata)
        self.verifier = oauth_core.AccessTokenVerifier(server, audience=AUDIENCE, algs=[*ALGS])
        self.keys = (200, [("content-type", "application/json")], to_json_bytes({"keys": keys}))

    def __call__(self, token: str) -> str | None:
        """The code of the refusal, or nothing."""
        exchange = self.verifier.verify_exchange(token)
        try:
            next(exchange)
            while True:
                exchange.send(self.keys)
        except StopIteration:
            return None
        except oauth_core.OAuthError as error:
            return error.code


class Theirs:
    """PyJWT, by its own documentation."""

    def __init__(self, keys: list[Json]) -> None:
        self.keys = jwt.PyJWKSet(keys)

    def __call__(self, token: str) -> str | None:
        try:
            key = self.keys[jwt.get_unverified_header(token)["kid"]]
            jwt.decode(
                token,
                key,
                algorithms=[*ALGS],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=SKEW,
                options={"require": ["iss", "aud", "sub", "exp", "iat"]},
            )
        except (jwt.PyJWTError, KeyError) as error:
            return type(error).__name__
        return None


def test_ten_thousand_tokens_are_accepted_or_rejected_as_by_pyjwt() -> None:
    keys, sign, dice, now = key_set(), signers(), RandomChoices(SEED), int(time.time())
    ours, theirs = Ours(keys), Theirs(keys)
    counts: Counter[tuple[str, ...]] = Counter()
    unexplained: Counter[tuple[Any, ...]] = Counter()
    before = "a.b.c"
    for _ in range(TOKENS):
        token, flaws = made(dice, sign, now, before)
        we, they = ours(token), theirs(token)
        before = token
        if (we is None) == (they is None):
            counts["both take" if we is None else "both refuse",] += 1
            continue
        table, why = (STRICTER, we) if they is None else (LOOSER, they)
        known_differences = [(str(why), flaw) for flaw in flaws if (str(why), flaw) in table]
        if known_differences:
            counts[known_differences[0]] += 1
        else:
            unexplained["we refuse" if they is None else "they refuse", why, *flaws] += 1
    for kind, count in counts.most_common():
        print(count, *kind)
    listed = "\n".join(f"{count} {kind}" for kind, count in unexplained.most_common())
    assert not unexplained, listed
    assert counts["both take",] > TOKENS // 10 and counts["both refuse",] > TOKENS // 10
    stale = [kind for kind in [*STRICTER, *LOOSER] if not counts[kind]]
    assert not stale, f"nothing of this kind came up: {stale}"
