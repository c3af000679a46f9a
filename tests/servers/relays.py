"""A wire between a client and a server that a test can hold, cut and take away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.servers.processes import Server, free_port

SETTLE = 3.0  # seconds that a server may take over what it was sent, after its client went


class Wire(Enum):
    """What a relay does with what it is given."""

    PASSES = auto()
    HOLDS = auto()  # nothing comes through, and nobody is told
    LOSES = auto()  # requests come through, and the connection breaks instead of the answer


@dataclass
class Relay:
    """A TCP relay on loopback: `async with relay(server) as wire: ... wire.port`."""

    server: Server
    port: int
    wire: Wire = Wire.PASSES
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    listener: asyncio.Server | None = None
    open: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)
    answers_passed: int = 0
    asked: bool = False
    connections: int = 0

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Let nothing through; yields a function that returns when a client has sent something."""

        async def reached() -> None:
            await self.reached.wait()

        self.reached.clear()
        self.wire = Wire.HOLDS
        try:
            yield reached
        finally:
            self.wire = Wire.PASSES

    @asynccontextmanager
    async def losing(self, *, after: int = 0) -> AsyncIterator[None]:
        """Let requests through, and break the connection instead of the answer after so many."""
        self.wire, self.answers_passed = Wire.LOSES, -after
        try:
            yield
        finally:
            self.wire = Wire.PASSES

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Listen no more, so that connections are refused."""
        await self.close()
        try:
            yield
        finally:
            await self.listen()

    async def listen(self) -> None:
        """Listen on the port."""
        self.listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Listen no more and break what is open."""
        if self.listener is not None:
            self.listener.close()
        serving = dict(self.open)
        for writer in serving.values():
            writer.transport.abort()
        if serving:
            await asyncio.wait(serving)

    async def settled(self) -> None:
        """Wait until the server has ended whatever it was sent, though its client is gone."""
        if self.open:
            await asyncio.wait([*self.open], timeout=SETTLE)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self.open[serving] = writer
        self.connections += 1
        to_server: asyncio.StreamWriter | None = None
        try:
            from_server, to_server = await asyncio.open_connection(
                self.server.host, self.server.port
            )
            await self._carry(reader, writer, from_server, to_server)
        except OSError:
            pass
        finally:
            self.open.pop(serving)
            for end in (writer, to_server):
                if end is not None:
                    end.transport.abort()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        """Carry both ways; where the client goes first, the server may end what it was sent."""
        asking = asyncio.ensure_future(self._ask(reader, to_server))
        answering = asyncio.ensure_future(self._answer(from_server, writer))
        await asyncio.wait((asking, answering), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            to_server.write_eof()
            await asyncio.wait((answering,), timeout=SETTLE)
        for task in (asking, answering):
            task.cancel()
        await asyncio.gather(asking, answering, return_exceptions=True)

    async def _ask(self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                self.reached.set()
                self.asked = True
                if self.wire is not Wire.HOLDS:
                    to_server.write(chunk)
                    await to_server.drain()

    async def _answer(
        self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await from_server.read(65536):
                if self.wire is Wire.LOSES and self.asked:
                    self.asked = False  # what follows is more of the same answer
                    self.answers_passed += 1
                    if self.answers_passed > 0:
                        return
                if self.wire is not Wire.HOLDS and not writer.is_closing():
                    writer.write(chunk)
                    with contextlib.suppress(OSError):  # the client is gone; the server is not
                        await writer.drain()


@asynccontextmanager
async def relay(server: Server) -> AsyncIterator[Relay]:
    """Run a relay in front of a server."""
    made = Relay(server=server, port=free_port())
    await made.listen()
    try:
        yield made
    finally:
        await made.close()
