"""The examples of knowledge/README.md are what the loader takes, word by word."""

from __future__ import annotations

import re
from pathlib import Path

from bot.knowledge import check_actions, load
from bot.loader import find, make
from tests.stage import stage_in

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = "".join(f"\n## {name}\n\nText.\n" for name in ("Meaning", "Impact", "Diagnosis"))
NEIGHBOURS = "".join(
    f'\n[services.{name}]\nteam = "a"\ndescription = "b"\ntier = 2\n'
    for name in ("payments", "cart", "redis-cache")
)


def example(language: str, beginning: str) -> str:
    text = (ROOT / "knowledge" / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^```{language}\n({re.escape(beginning)}.*?)^```$", text, re.M | re.S)
    assert found is not None
    return found[1]


def write(folder: Path) -> None:
    """Write a knowledge folder of the manual's own examples."""
    page, step = folder / "runbooks" / "example.md", "\n### Evict {#evict}\n\nText.\n"
    page.parent.mkdir(parents=True)
    page.write_text(f"{example('yaml', '---')}{SECTIONS}\n## Mitigation\n{step}", encoding="utf-8")
    services = example("toml", "[services.")
    (folder / "services.toml").write_text(f'format = "services/v1"\n{services}{NEIGHBOURS}')
    incident = example("markdown", "---").replace("checkout-worker-stuck", "cache-full")
    filled = re.sub(r"^(## \w+)$", r"\1\n\nText.\n", incident, flags=re.M)
    (folder / "incidents").mkdir()
    (folder / "incidents" / "example.md").write_text(filled, encoding="utf-8")


async def test_the_manuals_examples_are_taken(tmp_path: Path) -> None:
    write(tmp_path / "knowledge")
    known = load(tmp_path / "knowledge")
    assert list(known.runbooks) == ["cache-full"]
    async with stage_in(tmp_path) as stage:
        plugins = make(find(("prometheus", "command"), {}, {}), stage.context)
        actions = {a.reference: a for plugin in plugins for a in plugin.actions()}
        assert check_actions(known, actions) == ()
