"""The house among real systems: their exporters, a real Prometheus, a real Alertmanager."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.demo.alerting import AlertingKind
from bot.rehearsal import Rehearsal, Stage
from bot.settings import DEFAULT_PLUGINS
from tests.scenarios.stage import ROOT, transcript
from tests.servers import Server, alertmanager, free_port, needed, started
from tests.servers.processes import answers

_READY = b"GET /-/ready HTTP/1.0\r\n\r\n"
_METRICS = b"GET /metrics HTTP/1.0\r\n\r\n"
_OK = b"HTTP/1.0 200 OK"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """An alerting rule of Prometheus, with the labels that it adds."""

    alert: str
    expression: str
    labels: Mapping[str, str]
    summary: str


@contextmanager
def exporter(package: str, folder: Path, *arguments: str, port: int) -> Iterator[int]:
    """Run an exporter of Debian's, whose package is named like its program."""
    program = needed(package, package=package)
    log = folder / f"{package}.log"
    with started([program, *arguments], log, ready=lambda: answers(port, _METRICS, _OK)):
        yield port


@contextmanager
def prometheus(
    folder: Path, *, targets: Mapping[str, int], rules: Sequence[Rule], alerts: Server
) -> Iterator[str]:
    """Run a Prometheus that scrapes these ports every second; return its address."""
    program = needed("prometheus", package="prometheus")
    port = free_port()
    place = folder / "prometheus"
    place.mkdir()
    (place / "rules.yml").write_text(json.dumps(_rules(rules)), encoding="utf-8")
    (place / "prometheus.yml").write_text(
        json.dumps(_configuration(place / "rules.yml", targets, alerts)), encoding="utf-8"
    )
    argv = [
        program,
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = place / "prometheus.log"
    with started(argv, log, ready=lambda: answers(port, _READY, _OK)):
        yield f"http://127.0.0.1:{port}"


def _rules(rules: Sequence[Rule]) -> Any:
    return {
        "groups": [
            {
                "name": "systems",
                "interval": "1s",
                "rules": [
                    {
                        "alert": rule.alert,
                        "expr": rule.expression,
                        "for": "1s",
                        "labels": {"severity": "critical", **rule.labels},
                        "annotations": {"summary": rule.summary},
                    }
                    for rule in rules
                ],
            }
        ]
    }


def _configuration(rules: Path, targets: Mapping[str, int], alerts: Server) -> Any:
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alerts.port}"]}]}]
        },
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
            for job, port in targets.items()
        ],
    }


def _routing(rehearsal: Rehearsal) -> str:
    return json.dumps(
        {
            "route": {
                "receiver": "tocsin",
                "group_by": ["alertname"],
                "group_wait": "1s",
                "group_interval": "1s",
            },
            "receivers": [
                {
                    "name": "tocsin",
                    "webhook_configs": [
                        {
                            "url": f"{rehearsal.bot_url}/hooks/alertmanager",
                            "http_config": {"authorization": {"credentials": rehearsal.hook_token}},
                        }
                    ],
                }
            ],
        }
    )


@asynccontextmanager
async def among_systems(
    folder: Path,
    *,
    plugins: Mapping[str, Mapping[str, Any]],
    targets: Mapping[str, int],
    rules: Sequence[Rule],
    secrets: Mapping[str, str] = {},
    knowledge: Path | None = None,
) -> AsyncIterator[Rehearsal]:
    """Run the house with these plugins' settings, watched over by a real Prometheus.

    The keys of `plugins` are sections of config.toml (`plugins.redis.servers.cache`),
    `secrets` are variables of the bot's environment.
    """
    names = list(dict.fromkeys(section.split(".")[1] for section in plugins))
    known = [*DEFAULT_PLUGINS, "demo"]
    extra: dict[str, dict[str, Any]] = {
        "bot": {"plugins": [*known, *(name for name in names if name not in known)]},
        **{section: dict(values) for section, values in plugins.items()},
    }
    stage = Stage(
        directory=folder / "house",
        knowledge=knowledge or ROOT / "knowledge",
        alerting=AlertingKind.WATCHER,
        meaning=False,
        extra=extra,
        secrets=secrets,
    )
    rehearsal = Rehearsal(stage)
    rehearsal.workspace.add_usergroup("storage-oncall", members=["hugo"])
    rehearsal.workspace.add_usergroup("edge-oncall", members=["owen"])
    with ExitStack() as stack:
        alerts = stack.enter_context(alertmanager(folder, _routing(rehearsal)))
        url = stack.enter_context(prometheus(folder, targets=targets, rules=rules, alerts=alerts))
        extra["plugins.prometheus"] = {"url": url}
        await rehearsal.start()
        try:
            yield rehearsal
        except BaseException:
            print(transcript(rehearsal))
            raise
        finally:
            await rehearsal.stop()
