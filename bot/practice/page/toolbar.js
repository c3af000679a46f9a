// What appears over a message under the pointer or the focus: react, reply, pin, shortcuts.

import { el, iconButton } from "./dom.js";
import { emoji } from "./emoji.js";
import { toggleReaction } from "./message.js";
import { openEmojiPicker } from "./picker.js";
import { openMenu } from "./popup.js";
import { store } from "./store.js";
import { act } from "./toast.js";

const QUICK = ["white_check_mark", "eyes", "raised_hands"];

/** Gives the messages in `list` their toolbar; `find(ts)` gives a message, `reply` opens a thread. */
export function attachToolbar(list, { find, reply, inThread }) {
  let bar = null;
  const show = (event) => {
    const node = event.target.closest?.(".message");
    if (!node || bar?.parentNode === node || isBusy(bar)) return;
    const message = find(node.dataset.ts);
    bar?.remove();
    bar = message ? toolbar(message, { reply, inThread, node }) : null;
    if (bar) node.append(bar);
  };
  const hide = () => {
    if (!bar || isBusy(bar) || bar.parentNode?.contains(document.activeElement)) return;
    bar.remove();
    bar = null;
  };
  list.addEventListener("pointerover", show);
  list.addEventListener("focusin", show);
  list.addEventListener("pointerleave", hide);
  list.addEventListener("focusout", (event) => {
    if (!list.contains(event.relatedTarget) && !list.matches(":hover")) setTimeout(hide);
  });
}

function isBusy(bar) {
  return Boolean(bar?.isConnected && bar.querySelector("[aria-expanded=true]"));
}

function toolbar(message, { reply, inThread, node }) {
  const shortcuts = store.shortcuts.filter((shortcut) => shortcut.type === "message");
  const member = store.channels.get(message.channel)?.is_member !== false;
  const real = !message.ephemeral && member;
  const quick = real ? QUICK.map((name) => quickReaction(message, name)) : [];
  const react = iconButton(
    "smile-plus",
    "Add reaction",
    () => openEmojiPicker(react, (name) => toggleReaction(message, name)),
    { "aria-expanded": "false" },
  );
  const more = iconButton(
    "more",
    "More actions",
    () =>
      openMenu(more, moreItems(message, shortcuts, node), { side: "right", label: "More actions" }),
    { "aria-haspopup": "menu", "aria-expanded": "false" },
  );
  const answer =
    inThread || message.ephemeral
      ? null
      : iconButton("thread", "Reply in thread", () => reply(message));
  const parts = [
    ...quick,
    real ? react : null,
    answer,
    real ? pinButton(message) : null,
    message.ephemeral ? null : more,
  ];
  if (parts.every((part) => part === null)) return null;
  return el("div", { class: "toolbar", role: "toolbar", "aria-label": "Message actions" }, parts);
}

function quickReaction(message, name) {
  return el(
    "button",
    {
      type: "button",
      class: "icon-button",
      title: `React with :${name}:`,
      "aria-label": `React with :${name}:`,
      onclick: () => toggleReaction(message, name),
    },
    emoji(name),
  );
}

function pinButton(message) {
  const label = message.pinned ? "Unpin from this channel" : "Pin to this channel";
  return iconButton("pin", label, () => pin(message));
}

function pin(message) {
  const body = { channel: message.channel, ts: message.ts };
  return act("/practice/pins", message.pinned ? { ...body, remove: true } : body);
}

function moreItems(message, shortcuts, node) {
  const place = { channel: message.channel, ts: message.ts };
  const items = shortcuts.map((shortcut) => ({
    label: shortcut.name,
    hint: shortcut.description || store.app?.name,
    icon: "bolt",
    run: () => act("/practice/shortcuts", { callback_id: shortcut.callback_id, ...place }),
  }));
  const text = () => node.querySelector(".message-main")?.innerText ?? message.text;
  return [
    {
      label: message.pinned ? "Unpin from channel" : "Pin to channel",
      icon: "pin",
      run: () => pin(message),
    },
    { label: "Copy text", icon: "file", run: () => navigator.clipboard?.writeText(text()) },
    ...(items.length ? [{ line: true }, { heading: "Message shortcuts" }, ...items] : []),
  ];
}
