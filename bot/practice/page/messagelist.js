// A scrolling list of messages that changes in place and stays at the bottom where it was there.

import { dayName, moment } from "./dates.js";
import { el, icon } from "./dom.js";
import { readValues } from "./elements.js";
import { isSystem, renderMessage } from "./message.js";
import { isReply, store } from "./store.js";
import { attachToolbar } from "./toolbar.js";

const GROUP_SECONDS = 300;
const NEAR_BOTTOM = 80;

/** Makes a list. `reply(message)` opens a thread; `intro` stands above the first message. */
export function makeMessageList({ label, inThread = false, reply, intro = null }) {
  const rows = el("div", { class: "rows" });
  const jump = el(
    "button",
    { type: "button", class: "jump-new", hidden: true },
    icon("chevron-down"),
    "New messages",
  );
  const scroller = el(
    "div",
    { class: "scroller", role: "region", "aria-label": label, tabindex: -1 },
    intro,
    rows,
  );
  const node = el("div", { class: "message-list" }, scroller, jump);
  let drawn = new Map();
  let messages = [];
  let stuck = true;

  const toBottom = () => {
    scroller.scrollTop = scroller.scrollHeight;
    stuck = true;
    jump.hidden = true;
  };
  scroller.addEventListener("scroll", () => {
    stuck = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_BOTTOM;
    if (stuck) jump.hidden = true;
  });
  const watch = new ResizeObserver(() => stuck && toBottom());
  watch.observe(rows);
  watch.observe(scroller);
  jump.addEventListener("click", toBottom);
  attachToolbar(rows, { find: (ts) => messages.find((m) => m.ts === ts), reply, inThread });
  rows.addEventListener("keydown", (event) => roam(event, rows));

  function sync(next, { newFrom = null } = {}) {
    const known = new Set(messages.map((m) => m.ts));
    const came = messages.length ? next.filter((m) => !known.has(m.ts)) : [];
    messages = next;
    const fresh = new Map();
    const wanted = [];
    next.forEach((message, index) => {
      wanted.push(...dividers(next[index - 1], message, { newFrom, inThread }));
      const entry = reuse(drawn.get(message.ts), message, next[index - 1], { inThread, newFrom });
      fresh.set(message.ts, entry);
      wanted.push(entry.node);
      if (inThread && index === 0 && next.length > 1) wanted.push(replyCount(next.length - 1));
    });
    lay(rows, wanted);
    drawn = fresh;
    makeReachable(rows);
    const own = came.some((m) => m.user === store.me || m.ephemeral);
    if (stuck || own) toBottom();
    else if (came.length) jump.hidden = false;
  }

  return { node, sync, toBottom, find: (ts) => drawn.get(ts)?.node };
}

function reuse(old, message, before, { inThread, newFrom }) {
  const first = inThread && isReply(message) && before?.ts === message.thread_ts;
  const compact = !first && message.ts !== newFrom && continues(before, message);
  const key = JSON.stringify([message, compact, store.names]);
  if (old?.key === key) return old;
  const earlier = old ? readValues(old.node) : {};
  return { key, node: renderMessage(message, { compact, inThread, earlier }) };
}

// How to find the focused element again after its message was drawn anew.
function focusedElement(rows) {
  const active = rows.contains(document.activeElement) ? document.activeElement : null;
  const ts = active?.closest(".message")?.dataset.ts;
  const { blockId, actionId } = active?.dataset ?? {};
  if (!actionId) return active?.classList.contains("message") ? `.message[data-ts="${ts}"]` : null;
  const place = `[data-block-id="${CSS.escape(blockId)}"][data-action-id="${CSS.escape(actionId)}"]`;
  return `.message[data-ts="${ts}"] ${place}`;
}

function lay(rows, wanted) {
  const active = document.activeElement;
  const held = focusedElement(rows);
  const keep = new Set(wanted);
  for (const child of [...rows.children]) if (!keep.has(child)) child.remove();
  wanted.forEach((node, index) => {
    if (rows.children[index] !== node) rows.insertBefore(node, rows.children[index] ?? null);
  });
  if (held && !active.isConnected) rows.querySelector(held)?.focus({ preventScroll: true });
}

function continues(before, message) {
  if (!before || isSystem(before) || isSystem(message)) return false;
  if (
    before.ephemeral ||
    message.ephemeral ||
    message.pinned ||
    message.subtype === "thread_broadcast"
  )
    return false;
  const same =
    before.user === message.user &&
    before.username === message.username &&
    before.bot_id === message.bot_id;
  const apart = Number(message.ts) - Number(before.ts);
  return same && apart < GROUP_SECONDS && sameDay(before, message);
}

function sameDay(a, b) {
  return moment(a.ts).toDateString() === moment(b.ts).toDateString();
}

function dividers(before, message, { newFrom, inThread }) {
  const lines = [];
  if (!inThread && (!before || !sameDay(before, message))) {
    lines.push(el("div", { class: "day" }, el("span", {}, dayName(moment(message.ts)))));
  }
  if (message.ts === newFrom) lines.push(el("div", { class: "new-line" }, el("span", {}, "New")));
  return lines;
}

function replyCount(count) {
  return el(
    "div",
    { class: "reply-line" },
    el("span", {}, `${count} ${count === 1 ? "reply" : "replies"}`),
  );
}

// Only one message is in the tab order; the arrow keys go to its neighbours.
function makeReachable(rows) {
  const nodes = [...rows.querySelectorAll(".message")];
  if (!nodes.some((node) => node.tabIndex === 0)) nodes.at(-1)?.setAttribute("tabindex", "0");
}

function roam(event, rows) {
  if (!event.target.classList.contains("message")) return;
  const nodes = [...rows.querySelectorAll(".message")];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const next = step && nodes[nodes.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  event.target.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
}
