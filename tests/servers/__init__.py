"""Real servers from Debian packages for tests: on loopback, in a folder of the test's.

    with redis_server(tmp_path) as server: ...     # server.host, server.port
    with postgres_server(tmp_path) as server: ...  # server.user, server.database
    with alertmanager(tmp_path) as server: ...     # server.url, like that of prometheus(tmp_path)

`async with relay(server) as wire:` stands in between, to be held, cut or taken
away. Each server skips the test, with a reason, where its package is not
installed. Use them from fixtures of module scope: PostgreSQL takes a second or
two to start. A `WebService` is played by the test itself.
"""

from tests.servers.alerting import alertmanager, prometheus
from tests.servers.databases import postgres_server, redis_server
from tests.servers.processes import Server, free_port, needed, started
from tests.servers.relays import Relay, relay
from tests.servers.web_services import WebService

__all__ = [
    "Relay",
    "Server",
    "WebService",
    "alertmanager",
    "free_port",
    "needed",
    "postgres_server",
    "prometheus",
    "redis_server",
    "relay",
    "started",
]
