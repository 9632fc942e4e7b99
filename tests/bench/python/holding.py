"""`holding.py SIDE BASE ID SECRET` gets one token, and says how much memory that took.

Nothing is imported here that the library does not import.
"""

import sys


def ours(base, client_id, secret):
    from ours import our_client

    source = our_client(base, client_id, secret).client_credentials(scope="read")
    return source.token().access_token


def authlib(base, client_id, secret):
    from authlib.integrations.httpx_client import OAuth2Client

    http = OAuth2Client(client_id, secret, token_endpoint_auth_method="client_secret_post")
    token = http.fetch_token(f"{base}/token", grant_type="client_credentials", scope="read")
    return token["access_token"]


def requests_oauthlib(base, client_id, secret):
    import os

    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback
    from oauthlib.oauth2 import BackendApplicationClient
    from requests_oauthlib import OAuth2Session

    session = OAuth2Session(client=BackendApplicationClient(client_id, scope=["read"]))
    token = session.fetch_token(
        f"{base}/token", client_id=client_id, client_secret=secret, include_client_id=True
    )
    return token["access_token"]


def nothing(*_):
    return "none"


def peak():
    """This process's peak in MiB. What `getrusage` says would include the parent's."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


side, *arguments = sys.argv[1:]
assert {
    "oauth-core": ours,
    "Authlib": authlib,
    "requests-oauthlib": requests_oauthlib,
    "bare interpreter": nothing,
}[side](*arguments)
print(peak())
