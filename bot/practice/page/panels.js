// Panels beside the workspace: what they show is asked for every second while it can be seen.

import { get } from "./api.js";
import { el, icon } from "./dom.js";
import { on, store } from "./store.js";
import { act, toast } from "./toast.js";

const EVERY_MS = 1000;
const TONES = new Set(["good", "bad", "quiet"]);
const folded = new Set();
const drawn = new Map();

/** Shows panels in `aside` from now on. */
export function startPanels(aside) {
  on("state", () => lay(aside));
  setInterval(() => poll(aside), EVERY_MS);
}

function lay(aside) {
  aside.hidden = store.panels.length === 0;
  document.body.classList.toggle("has-panels", !aside.hidden);
  const ids = store.panels.map((panel) => panel.id).join();
  if (aside.dataset.ids === ids) return;
  aside.dataset.ids = ids;
  drawn.clear();
  if (matchMedia("(max-width: 820px)").matches)
    store.panels.forEach((panel) => folded.add(panel.id));
  aside.replaceChildren(...store.panels.map(frame));
  poll(aside);
}

function frame({ id, title }) {
  const body = el("div", { class: "panel-body", hidden: folded.has(id) });
  const toggle = () => {
    if (!folded.delete(id)) folded.add(id);
    body.hidden = folded.has(id);
    head.setAttribute("aria-expanded", String(!body.hidden));
  };
  const head = el(
    "button",
    {
      type: "button",
      class: "panel-head",
      "aria-expanded": String(!folded.has(id)),
      onclick: toggle,
    },
    el("span", { class: "panel-dot" }),
    el("span", { class: "panel-title" }, title),
    icon("chevron-down"),
  );
  return el(
    "section",
    { class: "panel", "data-testid": `panel-${id}`, "aria-label": title, "data-panel-id": id },
    el("h2", {}, head),
    body,
  );
}

function poll(aside) {
  if (document.hidden) return;
  for (const node of aside.children) refresh(node);
}

async function refresh(node) {
  const id = node.dataset.panelId;
  const status = await get(`/practice/panels/${encodeURIComponent(id)}`).catch(() => null);
  const key = JSON.stringify(status);
  if (!status || drawn.get(id) === key) return;
  drawn.set(id, key);
  const body = node.querySelector(".panel-body");
  const held = body.contains(document.activeElement) ? document.activeElement.dataset.button : null;
  const tone = status.facts.some((fact) => fact.tone === "bad") ? "bad" : "good";
  node.dataset.tone = tone;
  node.querySelector(".panel-title").textContent = status.title;
  body.replaceChildren(
    status.facts.length ? el("dl", {}, status.facts.map(fact)) : "",
    status.note ? el("p", { class: "panel-note" }, status.note) : "",
    status.buttons.length
      ? el(
          "div",
          { class: "panel-buttons" },
          status.buttons.map((b) => button(id, b)),
        )
      : "",
  );
  if (held) body.querySelector(`[data-button="${CSS.escape(held)}"]`)?.focus();
}

function fact({ label, value, tone }) {
  const shown = TONES.has(tone) ? tone : "quiet";
  return el(
    "div",
    { class: "fact" },
    el("dt", {}, label),
    el("dd", { class: `tone-${shown}` }, value),
  );
}

function button(panel, { id, label, style }) {
  const look = ["primary", "danger"].includes(style) ? ` button-${style}` : "";
  const node = el("button", { type: "button", class: `button${look}`, "data-button": id }, label);
  node.addEventListener("click", async () => {
    if (node.getAttribute("aria-disabled") === "true") return;
    node.setAttribute("aria-disabled", "true");
    node.classList.add("is-busy");
    const answer = await act(`/practice/panels/${encodeURIComponent(panel)}/press`, { button: id });
    node.removeAttribute("aria-disabled");
    node.classList.remove("is-busy");
    if (answer?.text) toast(answer.text);
    await refresh(
      node.closest(".panel") ?? document.querySelector(`[data-panel-id="${CSS.escape(panel)}"]`),
    );
  });
  return node;
}
