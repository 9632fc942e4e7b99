"""``Visits``: the part of a site that drives visits (one for each request) and calls the application's hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Generator, Mapping, TypeVar

from .._bridge import result_of_callback
from .._native import Forward, Identity, ProviderQuery, Reply, Visit
from ._settings import SiteSettings
from ._types import Admit, VisitResult, ErrorPage, Find, Refuse, SignedOut
from ._user import User

if TYPE_CHECKING:
    from .._native import Provider

__all__ = ["Step", "Visits"]

Step = tuple[Callable[[Any], Any], Any]
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

    def _drive(self, steps: Generator[Step, Any, Any]) -> Any:
        result: Any = None
        while True:
            try:
                call, argument = steps.send(result)
            except StopIteration as end:
                return end.value
            try:
                result = result_of_callback(call(argument))
            except Refuse as refused:
                result = refused

    async def _adrive(self, steps: Generator[Step, Any, Any]) -> Any:
        result: Any = None
        while True:
            try:
                call, argument = steps.send(result)
            except StopIteration as end:
                return end.value
            try:
                result = call(argument)
                result = await result if hasattr(result, "__await__") else result
            except Refuse as refused:
                result = refused

    def _result_steps(self, visit: Visit, resume: str, admit: Admit | None = None) -> Generator[Step, Any, Any]:
        """Resumes a visit, and calls the application's hooks for it, until it has a result."""
        decide = admit or self._admit
        resume_visit = getattr(visit, resume)
        ended = yield lambda resume_arguments: resume_visit(**resume_arguments), {}
        while isinstance(ended, (ProviderQuery, Identity)):
            if isinstance(ended, ProviderQuery):
                found = (yield self._find, ended) if self._find else None
                self._add_provider(found)
                resume_arguments: dict[str, Any] = {"local": {}} if found is None else {"provider": found}
            else:
                resume_arguments = _admission((yield decide, ended) if decide else None)
            ended = yield lambda resume_arguments: resume_visit(**resume_arguments), resume_arguments
        return ended

    def _visit_steps(self, visit: Visit, resume: str) -> Generator[Step, Any, VisitResult]:
        ended = yield from self._result_steps(visit, resume)
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


def _admission(decision: Any) -> dict[str, Any]:
    """The result of ``admit``. A value that is neither an admission nor a refusal, such as False, is an error."""
    if isinstance(decision, Refuse):
        return {"refused": str(decision)}
    local: Any = decision
    if decision is None or isinstance(decision, Mapping):
        return {"local": dict(local or {})}
    raise TypeError(f"admit must return a dict, None or a Refuse, not {type(decision).__name__}; access denied")
