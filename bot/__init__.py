"""Tocsin: the bell that calls people to an emergency.

The house, in reading order. Imports point one way, from the bottom of this list
to the top, and `tests/test_architecture.py` proves it.

    domain/        what is known and decided: frozen values, pure functions
    ports/         what use cases need from the world, by subject
    services/      use cases, one class per noun; `actions.py` is THE GATE
    plugin.py      the contract with plugins
    settings.py    config.toml and environment -> one frozen Settings

    storage/       SQLModel tables, one writer with group commit, SQLite or PostgreSQL
    ledger/        keys and signatures, anchors elsewhere, evidence and its verification
    policies/      Cedar: whose consent an action needs
    calendars/     freezes and maintenance windows from iCalendar files
    search/        words and meaning, one ranking, and how sure it is
    slack/         the only importer of the Slack SDK
    web/           webhooks in, health and metrics out
    llm/           prose from a language model, off by default
    knowledge/     runbooks, services and past incidents from Markdown and TOML
    prompts.py     prompt templates -> text
    exports.py     post-mortems -> Markdown or HTML
    practice/      a local Slack for the demo and the tests
    demo/          the checkout service and its alerting, for the demo
    trial/         runbooks performed on a stage by the real engine, for their tests
    secrets.py     which values are hidden wherever they turn up

    loader.py      finds plugins, validates their settings, refuses clashes
    dispatcher.py  brings events from the outbox to plugins and cards
    scheduler.py   fires jobs; who runs a slot is decided by a row
    governance.py  puts together what stands above plans
    foundation.py  everything before any plugin: store, services, what governs
    reloading.py   puts edited runbooks into force while the bot runs
    app.py         composition root: build(settings) -> App
    rehearsal.py   everything `tocsin demo` starts: workspace, service, alerting, bot
    cli/           tocsin demo | serve | check | alerts | ledger | knowledge | …

One alert walks: `web` -> `plugins/alertmanager` -> `services/alerts.py` ->
commit -> `dispatcher` -> `plugins/{triage,similar,runbooks}` ->
`services/cards.py` -> `services/posts.py` -> `slack/`.
"""

__version__ = "0.1.0"
