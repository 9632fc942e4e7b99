"""A django-oauth-toolkit server on a loopback port, with one user, who has a password.

The person signs in on Django's login page, and agrees on django-oauth-toolkit's; nothing is skipped, and forms
are safe from CSRF as usual. Access tokens live for ACCESS_TOKEN_SECONDS, 60 if it is not set. POST /_rotate gives
the server a new signing key, POST /_retire withdraws the keys before; after POST /_pass_an_hour, the last login was
an hour earlier.

Prints one line of JSON once it listens: {"issuer": ..., "clients": {...}, "person": {...}}. Stops when its
standard input closes.
"""

import json
import os
import socket
import sys
import tempfile
import threading
from pathlib import Path

import django
import waitress
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

PERSON = {"username": "somebody", "password": "a password: +%/&<'"}
CODE = "authorization-code"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
CALLBACKS = "http://127.0.0.1/callback"
HOME = "http://127.0.0.1/signed-out"

# A client of this server has one grant. Secrets have every character that a careless header gets wrong.
CLIENTS = {
    "machine": {
        "client_id": "machine: +%/client",
        "client_secret": "s3cret: +%/ and space",
        "authorization_grant_type": "client-credentials",
    },
    "web": {
        "client_id": "web-client",
        "client_secret": "another secret: +%/&",
        "authorization_grant_type": CODE,
        "redirect_uris": CALLBACKS,
        "post_logout_redirect_uris": HOME,
        "algorithm": "RS256",
    },
    "hs256": {
        "client_id": "hs256-client",
        "client_secret": "a shared secret of more than 32 bytes: +%/&",
        # What signs cannot be hashed.
        "hash_client_secret": False,
        "authorization_grant_type": CODE,
        "redirect_uris": CALLBACKS,
        "algorithm": "HS256",
    },
    "native": {
        "client_id": "native-client",
        "authorization_grant_type": CODE,
        "redirect_uris": CALLBACKS,
        "algorithm": "RS256",
    },
    "device": {"client_id": "device-client", "authorization_grant_type": DEVICE},
}


def fill() -> None:
    """A database with the person and the clients."""
    call_command("migrate", verbosity=0)
    from django.contrib.auth import get_user_model
    from oauth2_provider.models import get_application_model

    names = {"first_name": "Some", "last_name": "Body", "email": "somebody@app.example"}
    get_user_model().objects.create_user(**PERSON, **names)
    for name, client in CLIENTS.items():
        kind = "confidential" if "client_secret" in client else "public"
        get_application_model().objects.create(name=name, client_type=kind, **client)


def main(folder: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    issuer = f"http://127.0.0.1:{listener.getsockname()[1]}/o"
    os.environ["DATABASE"] = str(folder / "db.sqlite3")
    os.environ["DEVICE_PAGE"] = f"{issuer}/device/"
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    fill()
    server = waitress.create_server(get_wsgi_application(), sockets=[listener])
    threading.Thread(target=server.run, daemon=True).start()
    credentials = ("client_id", "client_secret")
    said = {
        "issuer": issuer,
        "clients": {
            name: {key: client[key] for key in credentials if key in client}
            for name, client in CLIENTS.items()
        },
        "person": PERSON,
    }
    print(json.dumps(said), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
