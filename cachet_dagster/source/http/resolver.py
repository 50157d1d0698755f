"""Name resolution that is left as soon as nobody waits for it any more.

The system's resolver blocks its thread for as long as its name servers are silent, half a minute and more. In the
event loop's own executor, where aiohttp's resolver runs it, the end of the loop and of the process would wait
for it, whatever bound a request has. Here it has a thread of its own, which ends when the resolver returns. The
system's resolver and not one of a library, since it alone knows what this machine is configured to.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

GetAddrInfo = Callable[..., "list[Any]"]
"""What resolves a name: `socket.getaddrinfo`, or one that is called and returns as it does."""

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class DaemonThreadResolver(AbstractResolver):
    """Resolves each name in a daemon thread.

    Args:
        getaddrinfo: Blocks until the name is resolved.
    """

    def __init__(self, getaddrinfo: GetAddrInfo = socket.getaddrinfo):
        self._getaddrinfo = getaddrinfo

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises OSError where there are none."""
        infos = await self._in_thread(host, port, family)
        return [
            ResolveResult(
                hostname=host, host=_host(address), port=address[1], family=kind, proto=proto, flags=_NUMERIC
            )
            for kind, _, proto, _, address in infos
        ]

    async def close(self) -> None:
        """Do nothing: threads end by themselves."""

    async def _in_thread(self, host: str, port: int, family: int) -> list[Any]:
        loop = asyncio.get_running_loop()
        resolved: asyncio.Future[list[Any]] = loop.create_future()

        def work() -> None:
            try:
                infos = self._getaddrinfo(
                    host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
                )
            except Exception as error:  # noqa: BLE001 - raised where the name is waited for
                hand_over(resolved.set_exception, error)
            else:
                hand_over(resolved.set_result, infos)

        def hand_over(deliver: Callable[[Any], None], outcome: Any) -> None:
            # The loop may have been closed meanwhile, or the request given up.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(lambda: None if resolved.done() else deliver(outcome))

        threading.Thread(target=work, name=f"resolve {host}", daemon=True).start()
        return await resolved


def _host(address: Any) -> str:
    """Return an address without its port, with the interface of a link-local one."""
    scope = address[3] if len(address) > 3 else 0
    return f"{address[0]}%{scope}" if scope and "%" not in address[0] else str(address[0])
