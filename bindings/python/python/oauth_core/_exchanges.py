"""``Exchanges``: the calls of a client as exchanges, for your own driver."""

from __future__ import annotations

from ._exchange_ops import ExchangeOperations
from ._native import Exchanges as NativeExchanges


class Exchanges(NativeExchanges, ExchangeOperations):
    """The calls of a client without transport, each as an Exchange.

    ``moment``, in each of them, is for tests and replays: a callable that returns the Unix time in seconds and
    32 random bytes for each step.
    """

    __slots__ = ()
