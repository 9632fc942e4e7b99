"""Authlib's OAuth2Session, as its documentation shows it: many threads, one session a process."""

import json
import sys
import threading
import time

from authlib.integrations.requests_client import OAuth2Session

work = json.loads(sys.argv[1])
file = work["place"]["File"]
counts = {"ok": 0, "failed": 0}


def read():
    with open(file) as stored:
        stored_token = json.load(stored)
    return {
        "token_type": "Bearer",
        "access_token": stored_token["access_token"],
        "refresh_token": stored_token["refresh_token"],
        "expires_at": stored_token["expires_at"] / 1000,
    }


def write(token, refresh_token=None, access_token=None):
    stored_token = {
        "access_token": token["access_token"],
        "refresh_token": token["refresh_token"],
        "expires_at": int(token["expires_at"] * 1000),
    }
    with open(file, "w") as stored:
        json.dump(stored_token, stored)


session = OAuth2Session(
    work["client_id"],
    token_endpoint=work["issuer"] + "/token",
    token_endpoint_auth_method="none",
    token=read(),
    update_token=write,
    leeway=0,
)


def visit():
    try:
        if session.token.is_expired(leeway=0):
            session.token = read()
        session.ensure_active_token(session.token)
        counts["ok" if not session.token.is_expired(leeway=0) else "failed"] += 1
    except Exception:
        counts["failed"] += 1


def caller():
    while True:
        visit()
        time.sleep(0.02)


for _ in range(next(iter(work["callers"].values()))):
    threading.Thread(target=caller, daemon=True).start()
while True:
    time.sleep(0.1)
    print(json.dumps(counts), flush=True)
