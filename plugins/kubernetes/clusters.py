"""Where the cluster is and who we are there: a kubeconfig file, or the pod's service account."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import yaml
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError

from bot.domain.actions import ActionFailed
from plugins.kubernetes.exchange import Conversation

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_MALFORMED = (AttributeError, TypeError, ValueError, yaml.YAMLError)


class Cluster:
    """One cluster. Without a `kubeconfig` it is the one that we run in.

    The configuration is read for each conversation: tokens are renewed under
    our hands, and a connection that was kept too long is one more doubt. A user
    whose credentials come from a program (`exec`) is refused: it would inherit
    our environment with all its secrets, and outlive a call that is cancelled.
    So is a connection on which the credentials could be overheard.
    """

    def __init__(self, kubeconfig: Path | None = None, context: str | None = None) -> None:
        self._kubeconfig = kubeconfig
        self._context = context

    @asynccontextmanager
    async def talk(self, timeout: float) -> AsyncIterator[Conversation]:
        """Open a conversation of at most `timeout` seconds.

        Raises:
            ActionFailed: the configuration cannot be used; nothing was asked.
        """
        # Reading the files and the certificates takes tens of milliseconds.
        config, client = await asyncio.to_thread(self._opened)
        async with client:
            yield Conversation(client, secrets=tuple(_secrets(config.user)), timeout=timeout)

    def _opened(self) -> tuple[SingleConfig, httpx2.AsyncClient]:
        config = self._configuration()
        return config, _client(config)

    def _configuration(self) -> SingleConfig:
        try:
            config = self._read()
        except (ConfigError, OSError, LookupError, *_MALFORMED) as error:
            # The text of these errors may quote the file, and the file holds credentials.
            reason = f"the configuration for Kubernetes cannot be read ({type(error).__name__})"
            raise ActionFailed(reason) from None
        _check_safe(config)
        return config if config.user else config._replace(user=User())

    def _read(self) -> SingleConfig:
        if self._kubeconfig is None:
            found = KubeConfig.from_service_account()
        else:
            found = KubeConfig.from_file(self._kubeconfig)
        config = found.get(self._context)
        if config is None:
            raise ConfigError("no context")
        return config


def _check_safe(config: SingleConfig) -> None:
    server = urlsplit(config.cluster.server)
    if config.cluster.insecure or (server.scheme != "https" and server.hostname not in _LOOPBACK):
        raise ActionFailed("Kubernetes is only spoken to over HTTPS with a checked certificate")
    if config.user and config.user.exec:
        raise ActionFailed("the kubeconfig runs a program for its credentials; use a token instead")


def _client(config: SingleConfig) -> httpx2.AsyncClient:
    """Return lightkube's client: no proxies from the environment, no redirects."""
    connection = client_adapter.ConnectionParams(trust_env=False)
    try:
        return client_adapter.AsyncClient(config, connection)
    except (ConfigError, OSError, ValueError, ssl.SSLError) as error:
        reason = f"the certificates for Kubernetes cannot be used ({type(error).__name__})"
        raise ActionFailed(reason) from None


def _secrets(user: User | None) -> Iterator[str]:
    if user is not None:
        yield from (text for text in (user.token, user.password) if text)
