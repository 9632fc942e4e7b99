"""``Visits``: the part of a site that drives visits (one for each request) and calls the application's hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Generator, Mapping, TypeVar

from .._bridge import result_of_callback
from .._native import Forward, Identity, ProviderQuery, Reply, Visit
from ._settings import SiteSettings
from ._types import Admit, ErrorPage, Find, Refuse, SignedOut
from ._user import User

if TYPE_CHECKING:
    from .._native import Provider

__all__ = ["Steps", "Visits", "adrive", "drive"]

# Of a request: visits, calls of an API and functions, each with its argument. Whether they are waited for is the driver's.
Steps = Generator[tuple[Any, Any], Any, Any]
_Hook = TypeVar("_Hook", bound=Callable[..., Any])


class Visits(SiteSettings):
    """The part of a site that drives visits, and calls the application's hooks for them."""

    _admit: Admit | None = None
    _error_page: ErrorPage | None = None
    _signed_out: SignedOut | None = None
    _find: Find | None = None

    if TYPE_CHECKING:

        def _add_provider(self, found: Provider | None) -> None: ...
        def _user(self, session: Any) -> User: ...

    def admit(self, hook: _Hook) -> _Hook:
        """Lets ``hook(identity)`` decide whom to admit: it returns a dict to add to the session, or raises ``Refuse``.

        It is called at each sign-in, in the thread or task of the request, and may be a coroutine function in async
        frameworks.
        """
        self._admit = hook
        return hook

    def error_page(self, hook: _Hook) -> _Hook:
        """Lets ``hook(problem)`` create the error page, in HTML."""
        self._error_page = hook
        return hook

    def signed_out(self, hook: _Hook) -> _Hook:
        """Registers ``hook(identity)``, which is called when a user is signed out: here, by their provider
        (back-channel and front-channel logout, once for all sessions that end), or by another user who is signed in
        there."""
        self._signed_out = hook
        return hook

    def provider(self, hook: _Hook) -> _Hook:
        """Lets ``hook(query)`` look up the providers that are not configured (``lookup="asked"``): it returns a
        ``Provider`` or None. It is called at each request that needs one, so cache clients; it may be a coroutine
        function if ``admit`` may."""
        self._find = hook
        return hook

    def _result_steps(self, visit: Visit, admit: Admit | None = None) -> Steps:
        """Resumes a visit, and calls the application's hooks for it, until it has a result."""
        decide = admit or self._admit
        ended = yield visit, {}
        while isinstance(ended, (ProviderQuery, Identity)):
            if isinstance(ended, ProviderQuery):
                found = (yield self._find, ended) if self._find else None
                self._add_provider(found)
                resume_arguments: dict[str, Any] = {"local": {}} if found is None else {"provider": found}
            else:
                resume_arguments = _admission((yield decide, ended) if decide else None)
            ended = yield visit, resume_arguments
        return ended

    def _visit_steps(self, visit: Visit) -> Steps:
        ended = yield from self._result_steps(visit)
        if isinstance(ended, Forward):
            return ended
        if not isinstance(ended, Reply):
            return self._user(ended) if ended else None
        identity, problem = ended.signed_out, ended.problem
        if identity and self._signed_out:
            yield self._signed_out, identity
        if problem and self._error_page:
            return ended.with_page((yield self._error_page, problem))
        return ended


def drive(steps: Steps) -> Any:
    """Takes the steps, one after another, and returns their result."""
    answer: Any = None
    while True:
        try:
            what, argument = steps.send(answer)
        except StopIteration as end:
            return end.value
        try:
            if isinstance(what, Visit):
                answer = what.resume(**argument)
            else:
                answer = what.send(argument) if isinstance(what, Forward) else result_of_callback(what(argument))
        except Refuse as refused:
            answer = refused


async def adrive(steps: Steps) -> Any:
    """drive(), in a coroutine."""
    result: Any = None
    while True:
        try:
            what, argument = steps.send(result)
        except StopIteration as end:
            return end.value
        try:
            if isinstance(what, Visit):
                result = await what.aresume(**argument)
            else:
                result = what.asend(argument) if isinstance(what, Forward) else what(argument)
                result = await result if hasattr(result, "__await__") else result
        except Refuse as refused:
            result = refused


def _admission(decision: Any) -> dict[str, Any]:
    """The result of ``admit``. A value that is neither an admission nor a refusal, such as False, is an error."""
    if isinstance(decision, Refuse):
        return {"refused": str(decision)}
    local: Any = decision
    if decision is None or isinstance(decision, Mapping):
        return {"local": dict(local or {})}
    raise TypeError(f"admit must return a dict, None or a Refuse, not {type(decision).__name__}; access denied")
