"""``login``: logs a user in from a native app (RFC 8252), with the browser and a loopback listener, or with a code."""

from __future__ import annotations

from ._arguments import check_hooks, finished
from ._native import Listener, code_turn, listen, stop_listening
from ._ops import Operations
from ._paste import prompting_for_callback
from .errors import DeniedError

# `typing` and `webbrowser` cost more to import than the package itself.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Literal, Mapping, Sequence

    from ._client import Client
    from ._native import PendingAuthorization, Tokens
    from ._paste import Paste
    from ._records import DeviceAuthorizationResponse

    Open = Callable[[str], object]
    Show = Callable[[DeviceAuthorizationResponse], None]
    DeviceLoginTiming = Literal["only", "first", "if_not_opened", "never"]


def login(
    client: Client,
    *,
    scope: str | Iterable[str] | None = None,
    open: Open | None = None,
    paste: Paste | None = None,
    port: int = 0,
    path: str | None = None,
    redirect_uri: str | None = None,
    timeout: float | None = None,
    resource: Sequence[str] | None = None,
    audience: Sequence[str] | None = None,
    authorization_details: Sequence[Mapping[str, Any]] | None = None,
    acr_values: Sequence[str] | None = None,
    max_age: int | None = None,
    prompt: str | None = None,
    login_hint: str | None = None,
    ui_locales: Sequence[str] | None = None,
    claims: Mapping[str, Any] | None = None,
    step_up: Mapping[str, Any] | None = None,
    tokens: Tokens | None = None,
    extra: Mapping[str, str] | None = None,
    token_extra: Mapping[str, str | Sequence[str]] | None = None,
    device: bool | None = None,
    show: Show | None = None,
    purpose: str | None = None,
) -> Tokens:
    """Sends the user to the server, waits for the callback, and redeems its code (RFC 8252).

    ``scope`` is names separated by spaces, or an iterable of names. ``timeout`` is the number of seconds
    that the user may take, in the browser 300 by default; afterwards ``LostError``. A refusal by the server or the user is ``DeniedError``.

    ``open`` shows a URL to the user: by default it is printed on standard error, and opened in
    the system's browser. It is called in the caller's thread, and may return only after the redirect, as a
    navigation of Playwright does; its exceptions end the login.

    ``paste``, for example ``input``, prompts for the callback URL that a browser on a different machine
    reached. It is called in its own thread, again if the URL does not belong to this login, and is
    not waited for if the browser returns first. Pass ``input`` itself, which stops reading once the login has ended:
    a function of your own that reads standard input takes the next line, and aborts an interpreter that exits.

    The redirect URI is ``http://127.0.0.1:PORT/callback``, at a free port; for a server that compares
    ports or paths, pass the same ones each time, or the whole registered ``redirect_uri``.

    ``resource`` and ``audience`` are requested in the browser and when the code is redeemed; ``extra`` are
    the provider's own parameters in the URL, ``token_extra`` those of the token request. The others
    are as for ``begin_authorization``: the request is pushed and signed if the server requires that.

    If there is no browser (no display, as over SSH, ``BROWSER=none``, or nothing opens) and the server supports it
    (RFC 8628), the user enters a code on another device instead. ``device=True`` always does that, and ``device=False``
    never: the URL is then opened manually. By default no code is used with your own ``open``, which implies a browser,
    nor if something is requested that the device flow does not support, such as ``acr_values``. ``show`` gets the code;
    by default its prompt is printed on standard error, in a terminal with a QR code. The prompt names the purpose and
    the URL, and warns against entering codes of others. ``purpose`` is the purpose in the prompt, such as ``sign in to
    example-cli on build-7``. With a device code, only ``scope``, ``resource``, ``audience`` and ``token_extra`` apply; the
    code ends at the server's time, and with ``timeout`` at the latest after these seconds. ``open``, ``paste`` and
    ``show`` are plain functions, not coroutine functions.
    """
    check_hooks(open=open, paste=paste, show=show)
    request = _request_options(scope, resource, audience, token_extra)
    turn = _timing(
        client,
        device,
        open,
        authorization_details=authorization_details,
        acr_values=acr_values,
        max_age=max_age,
        prompt=prompt,
        login_hint=login_hint,
        ui_locales=ui_locales,
        claims=claims,
        step_up=step_up,
        extra=extra,
    )
    if turn == "only":
        code = client.device_authorization(purpose=purpose, **request)
        return _enter_code(_Limited(client, timeout), code, show, request)
    listener = Listener(port=port, path=path, redirect_uri=redirect_uri)
    if turn == "first":
        signed_in = _login_by_code(client, show, purpose, timeout, request)
        if signed_in is not None:
            return signed_in
    flow = client.begin_authorization(
        redirect_uri=listener.redirect_uri,
        scope=scope,
        resource=resource,
        audience=audience,
        authorization_details=authorization_details,
        acr_values=acr_values,
        max_age=max_age,
        prompt=prompt,
        login_hint=login_hint,
        ui_locales=ui_locales,
        claims=claims,
        step_up=step_up,
        tokens=tokens,
        extra=extra,
        token_extra=token_extra,
    )
    limit = 300.0 if timeout is None else timeout
    if not _show_and_listen(open, listener, flow, turn, limit):
        signed_in = _login_by_code(client, show, purpose, timeout, request)
        if signed_in is not None:
            return signed_in
        _print_url(flow.url)
    with prompting_for_callback(listener, flow, paste):
        callback = listener.callback(flow, timeout=limit)
    return client.redeem(flow, callback)


async def alogin(
    client: Client,
    *,
    scope: str | Iterable[str] | None = None,
    open: Open | None = None,
    paste: Paste | None = None,
    port: int = 0,
    path: str | None = None,
    redirect_uri: str | None = None,
    timeout: float | None = None,
    resource: Sequence[str] | None = None,
    audience: Sequence[str] | None = None,
    authorization_details: Sequence[Mapping[str, Any]] | None = None,
    acr_values: Sequence[str] | None = None,
    max_age: int | None = None,
    prompt: str | None = None,
    login_hint: str | None = None,
    ui_locales: Sequence[str] | None = None,
    claims: Mapping[str, Any] | None = None,
    step_up: Mapping[str, Any] | None = None,
    tokens: Tokens | None = None,
    extra: Mapping[str, str] | None = None,
    token_extra: Mapping[str, str | Sequence[str]] | None = None,
    device: bool | None = None,
    show: Show | None = None,
    purpose: str | None = None,
) -> Tokens:
    """login(), in a coroutine."""
    check_hooks(open=open, paste=paste, show=show)
    request = _request_options(scope, resource, audience, token_extra)
    turn = _timing(
        client,
        device,
        open,
        authorization_details=authorization_details,
        acr_values=acr_values,
        max_age=max_age,
        prompt=prompt,
        login_hint=login_hint,
        ui_locales=ui_locales,
        claims=claims,
        step_up=step_up,
        extra=extra,
    )
    if turn == "only":
        code = await client.adevice_authorization(purpose=purpose, **request)
        return await _aenter_code(_Limited(client, timeout), code, show, request)
    listener = Listener(port=port, path=path, redirect_uri=redirect_uri)
    if turn == "first":
        signed_in = await _alogin_by_code(client, show, purpose, timeout, request)
        if signed_in is not None:
            return signed_in
    flow = await client.abegin_authorization(
        redirect_uri=listener.redirect_uri,
        scope=scope,
        resource=resource,
        audience=audience,
        authorization_details=authorization_details,
        acr_values=acr_values,
        max_age=max_age,
        prompt=prompt,
        login_hint=login_hint,
        ui_locales=ui_locales,
        claims=claims,
        step_up=step_up,
        tokens=tokens,
        extra=extra,
        token_extra=token_extra,
    )
    limit = 300.0 if timeout is None else timeout
    if not _show_and_listen(open, listener, flow, turn, limit):
        signed_in = await _alogin_by_code(client, show, purpose, timeout, request)
        if signed_in is not None:
            return signed_in
        _print_url(flow.url)
    with prompting_for_callback(listener, flow, paste):
        callback = await listener.acallback(flow, timeout=limit)
    return await client.aredeem(flow, callback)


def _request_options(
    scope: str | Iterable[str] | None,
    resource: Sequence[str] | None,
    audience: Sequence[str] | None,
    token_extra: Mapping[str, str | Sequence[str]] | None,
) -> dict[str, Any]:
    return {"scope": scope, "resource": resource, "audience": audience, "extra": token_extra}


def _timing(client: Client, device: bool | None, open: Open | None, **more: object) -> DeviceLoginTiming:
    names = [name for name, value in more.items() if value is not None]
    return code_turn(client, device, open is not None, names)


def _login_by_code(
    client: Client, show: Show | None, purpose: str | None, timeout: float | None, request: dict[str, Any]
) -> Tokens | None:
    """Logs in with a device code; None if the server refuses this client a code, so that only the browser remains."""
    try:
        code = client.device_authorization(purpose=purpose, **request)
    except DeniedError:
        return None
    return _enter_code(_Limited(client, timeout), code, show, request)


async def _alogin_by_code(
    client: Client, show: Show | None, purpose: str | None, timeout: float | None, request: dict[str, Any]
) -> Tokens | None:
    """_login_by_code(), in a coroutine."""
    try:
        code = await client.adevice_authorization(purpose=purpose, **request)
    except DeniedError:
        return None
    return await _aenter_code(_Limited(client, timeout), code, show, request)


def _enter_code(
    client: _Limited, code: DeviceAuthorizationResponse, show: Show | None, request: dict[str, Any]
) -> Tokens:
    _show_code(show, code)
    return client.poll_device_token(
        device_code=code.device_code, expires_at=code.expires_at, interval=code.interval, **request
    )


async def _aenter_code(
    client: _Limited, code: DeviceAuthorizationResponse, show: Show | None, request: dict[str, Any]
) -> Tokens:
    """_enter_code(), in a coroutine."""
    _show_code(show, code)
    return await client.apoll_device_token(
        device_code=code.device_code, expires_at=code.expires_at, interval=code.interval, **request
    )


class _Limited(Operations):
    """A client whose operations wait for at most this many seconds."""

    __slots__ = ("_client", "_timeout")

    def __init__(self, client: Client, timeout: float | None) -> None:
        # The third argument of the native method is not part of `Operations`.
        self._client: Any = client
        self._timeout = timeout

    def _call(self, number: int, arguments: tuple[object, ...], /) -> Any:
        return self._client._call(number, arguments, self._timeout)

    def _acall(self, number: int, arguments: tuple[object, ...], /) -> Any:
        return self._client._acall(number, arguments, self._timeout)


def _show_code(show: Show | None, code: DeviceAuthorizationResponse) -> None:
    if show is None:
        _print_code(code)
    else:
        finished("show", show(code))


def _show_and_listen(
    open: Open | None,
    listener: Listener,
    flow: PendingAuthorization,
    turn: DeviceLoginTiming,
    timeout: float,
) -> bool:
    """Shows the URL while listening for the callback. Returns whether the login continues in the browser."""
    listen(listener, flow, timeout)
    try:
        return _try_open(open, flow.url, turn)
    except BaseException:
        stop_listening(listener)
        raise


def _try_open(open: Open | None, url: str, turn: DeviceLoginTiming) -> bool:
    if open is not None:
        finished("open", open(url))
    elif turn == "if_not_opened":
        import webbrowser

        if not webbrowser.open(url):
            return False
        _print_url(url)
    else:
        _open_or_print(url)
    return True


def _open_or_print(url: str) -> None:
    import webbrowser

    _print_url(url)
    webbrowser.open(url)


def _print_url(url: str) -> None:
    import sys

    print(f"The login opens in your browser; if it does not, open this URL:\n{url}", file=sys.stderr)


def _print_code(code: DeviceAuthorizationResponse) -> None:
    import sys

    print(code.prompt, file=sys.stderr)
    if code.qr_code is not None and sys.stderr.isatty():
        print(f"\n{code.qr_code}", file=sys.stderr)
