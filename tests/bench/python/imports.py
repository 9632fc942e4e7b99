"""What an import costs over the bare interpreter, what the first source costs over the import, and how
much memory it takes to hold one token.

Every import, and every token, is a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from harness import OURS, medians, medians_over, print_figure, run_in_turns, run_script, twin

BARE = "bare interpreter"
IMPORTS = {
    BARE: "pass",
    OURS: "import oauth_core",
    "Authlib": "import authlib.integrations.httpx_client",
    "requests-oauthlib": "import requests_oauthlib",
    "msal": "import msal",
}
#: What is made once per process, before the first request.
SOURCES = {
    OURS: """
server = oauth_core.provider("usertesting")
client = oauth_core.Client(server, client_id="id", client_secret="secret")
client.client_credentials(scope="studies:read")
""",
    "Authlib": """
authlib.integrations.httpx_client.OAuth2Client("id", "secret", scope="studies:read")
""",
    "requests-oauthlib": """
from oauthlib.oauth2 import BackendApplicationClient
requests_oauthlib.OAuth2Session(client=BackendApplicationClient("id", scope=["studies:read"]))
""",
}
#: msal speaks to its own maker's servers only.
HOLDERS = [BARE, OURS, "Authlib", "requests-oauthlib"]


def started(code: str) -> Callable[[int], float]:
    """CPU milliseconds of an interpreter that runs this and ends."""

    def run(_: int) -> float:
        process = subprocess.Popen([sys.executable, "-c", code])
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, code
        return (used.ru_utime + used.ru_stime) * 1e3

    return run


def main() -> None:
    costs = run_in_turns({name: started(code) for name, code in IMPORTS.items()}, rounds=15)
    print_figure("Python: import", "ms CPU more than the bare interpreter", medians_over(costs, BARE), budget=3)

    runs = {}
    for name, code in SOURCES.items():
        runs[name, "import"] = started(IMPORTS[name])
        runs[name, "source"] = started(f"{IMPORTS[name]}{code}")
    taken = run_in_turns(runs, rounds=15)
    firsts = {
        name: medians_over({name: taken[name, "source"], BARE: taken[name, "import"]}, BARE)[name]
        for name in SOURCES
    }
    print_figure("Python: the first source", "ms CPU more than the import", firsts, budget=1)

    with twin() as server:
        arguments = (server.base, server.data["client_id"], server.data["client_secret"])

        def holding(side: str) -> Callable[[int], float]:
            return lambda _: float(run_script("holding.py", side, *arguments))

        memory = run_in_turns({side: holding(side) for side in HOLDERS}, rounds=5)
        counted = server.control("counters")["token_requests"]
        assert counted == 6 * 3, "every holder has its token from the server"
    print_figure("Python: import and one token", "MiB at the peak", medians(memory), budget=26)


main()
