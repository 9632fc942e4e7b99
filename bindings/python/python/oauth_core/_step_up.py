"""``step_up``: reads from an API's response what it requires beyond the current token (RFC 9470)."""

from __future__ import annotations

from ._native import step_up as _wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable


def step_up(status: int, www_authenticate: str | Iterable[str]) -> dict[str, Any] | None:
    """The step-up that an API's response requires: a new login, or more scope (RFC 9470, RFC 6750).

    Pass it to ``begin_authorization`` or ``login`` as ``step_up``, with the ``tokens`` that were insufficient.
    It contains those of ``acr_values``, ``max_age`` (seconds), ``scope`` and ``claims`` that the API requires.
    None if no new authorization would help. An API that you do not trust can send users through logins:
    carry out only requirements that you expect.

    Args:
        status: The HTTP status of the response.
        www_authenticate: Its WWW-Authenticate field, or several.
    """
    fields = [www_authenticate] if isinstance(www_authenticate, str) else list(www_authenticate)
    text = _wanted(status, fields)
    if text is None:
        return None
    import json

    requirements: dict[str, Any] = json.loads(text)
    return {name: value for name, value in requirements.items() if value not in (None, [], "")}
