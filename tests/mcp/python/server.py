"""An MCP server made with the official Python SDK, on a loopback port, which is its own authorization server.

Prints one line of JSON once it listens: {"url": ..., "control": ...}. Stops when its standard input closes. What
`control` offers is told in ../README.md.
"""

import json
import socket
import sys
import threading

import uvicorn
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from authority import SCOPES, TOOLS, Authority


class StepUp:
    """Refuses the secret tool to tokens without its scope. The SDK asks for the same scopes regardless of what is
    called."""

    def __init__(self, app, authority: Authority, metadata: str) -> None:
        self.app = app
        self.authority = authority
        self.metadata = metadata

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != "/mcp":
            return await self.app(scope, receive, send)
        body = await Request(scope, receive).body()

        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def again():
            return next(messages, None) or await receive()

        required_scope = self.authority.wanted_by_secret_tool
        is_authenticated = scope["user"].is_authenticated
        if is_authenticated and calls_secret_tool(body) and required_scope not in scope["auth"].scopes:
            challenge = (
                f'Bearer error="insufficient_scope", scope="{required_scope} {TOOLS}", '
                f'resource_metadata="{self.metadata}"'
            )
            refused = Response(status_code=403, headers={"WWW-Authenticate": challenge})
            return await refused(scope, again, send)
        return await self.app(scope, again, send)


def calls_secret_tool(body: bytes) -> bool:
    try:
        message = json.loads(body)
        return message["method"] == "tools/call" and message["params"]["name"] == "secret_tool"
    except (ValueError, TypeError, KeyError):
        return False


def offer_control(server: MCPServer, authority: Authority) -> None:
    """What tests do to the server."""
    done = Response(status_code=204)

    @server.custom_route("/_control/counts", methods=["GET"])
    async def counts(request: Request) -> Response:
        return JSONResponse(authority.counts)

    @server.custom_route("/_control/forget_clients", methods=["POST"])
    async def forget_clients(request: Request) -> Response:
        authority.forget_clients()
        return done

    @server.custom_route("/_control/expire_tokens", methods=["POST"])
    async def expire_tokens(request: Request) -> Response:
        authority.expire_tokens()
        return done

    @server.custom_route("/_control/access_token_seconds/{seconds:int}", methods=["POST"])
    async def access_token_seconds(request: Request) -> Response:
        authority.access_token_seconds = request.path_params["seconds"]
        return done

    @server.custom_route("/_control/require_scope/{name}", methods=["POST"])
    async def require_scope(request: Request) -> Response:
        authority.wanted_by_secret_tool = request.path_params["name"]
        return done


def offer_tools(server: MCPServer, authority: Authority) -> None:
    @server.tool()
    def echo(text: str) -> str:
        """Says what it is told."""
        authority.counts["tool_calls"] += 1
        return text

    @server.tool()
    def secret_tool() -> str:
        """Says a secret to whoever may hear it."""
        authority.counts["tool_calls"] += 1
        return "a secret"


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
    url = f"{issuer}/mcp"
    authority = Authority(issuer)
    server = MCPServer(
        "oauth-core-test",
        auth_server_provider=authority,
        auth=AuthSettings(
            issuer_url=issuer,
            resource_server_url=url,
            required_scopes=[TOOLS],
            validate_token_resource=True,
            client_registration_options=ClientRegistrationOptions(
                enabled=True, valid_scopes=SCOPES, default_scopes=SCOPES
            ),
            revocation_options=RevocationOptions(enabled=True),
        ),
    )
    offer_tools(server, authority)
    offer_control(server, authority)
    app = server.streamable_http_app()
    metadata = f"{issuer}/.well-known/oauth-protected-resource/mcp"
    # Behind what reads the token.
    app.user_middleware.append(Middleware(StepUp, authority, metadata))
    web = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    threading.Thread(target=web.run, args=([listener],), daemon=True).start()
    print(json.dumps({"url": url, "control": f"{issuer}/_control"}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
