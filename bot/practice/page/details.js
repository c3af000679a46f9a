// Small windows about channels: details and members, and pins.

import { clock, dayName, moment } from "./dates.js";
import { el } from "./dom.js";
import { authorOf } from "./message.js";
import { mrkdwn, plain } from "./mrkdwn.js";
import { openDirect } from "./nav.js";
import { appBadge, avatar } from "./people.js";
import { closePopup, isOpen, makeDialog, openPopup } from "./popup.js";
import { makeSelect } from "./select.js";
import { person, store } from "./store.js";
import { act, orToast } from "./toast.js";

/** Shows a channel's topic, purpose and members. */
export function showDetails(id) {
  const channel = store.channels.get(id);
  const room = store.rooms.get(id);
  if (channel.is_im) return showPerson(person(channel.im_user));
  const facts = [
    ["Topic", channel.topic],
    ["Description", channel.purpose],
  ]
    .filter(([, text]) => text)
    .map(([label, text]) =>
      el(
        "div",
        { class: "detail" },
        el("b", {}, label),
        el("div", { class: "mrkdwn" }, mrkdwn(text)),
      ),
    );
  const members = el(
    "ul",
    { class: "member-list" },
    (room?.members ?? []).map((m) => member(person(m), () => dialog.close())),
  );
  const leave = el(
    "button",
    { type: "button", class: "button button-outline-danger" },
    "Leave channel",
  );
  leave.addEventListener("click", async () => {
    if (await act(`/practice/channels/${encodeURIComponent(id)}/leave`)) dialog.close();
  });
  const body = [
    facts,
    el("h3", {}, `Members (${room?.members.length ?? 0})`),
    channel.is_member ? inviter(id, () => dialog.close()) : null,
    members,
  ];
  const sign = channel.is_private ? "" : "#";
  const dialog = makeDialog(`${sign}${channel.name}`, body, {
    footer: channel.is_member ? [leave] : null,
  });
  return undefined;
}

function member(one, done) {
  const open = () => {
    done();
    orToast(openDirect(one.id));
  };
  const mine = one.id === store.me;
  return el(
    "li",
    {},
    el(
      "button",
      {
        type: "button",
        class: "member",
        onclick: open,
        "aria-disabled": String(mine),
        disabled: mine,
      },
      avatar(one),
      el(
        "span",
        { class: "menu-text" },
        el(
          "span",
          {},
          el("b", {}, one.real_name),
          mine ? " (you)" : "",
          one.is_bot ? [" ", appBadge()] : null,
        ),
        el("span", { class: "menu-hint" }, one.title || (one.is_bot ? "App" : one.name)),
      ),
    ),
  );
}

function inviter(id, done) {
  const inside = new Set(store.rooms.get(id)?.members ?? []);
  const outside = [...store.people.values()].filter((one) => !inside.has(one.id) && !one.deleted);
  if (!outside.length) return null;
  const items = outside.map((one) => ({
    id: one.id,
    label: one.real_name,
    hint: one.title,
    lead: avatar(one, "tiny"),
  }));
  const invite = async () => {
    const [user] = select.ids();
    if (await act(`/practice/channels/${encodeURIComponent(id)}/invite`, { user })) done();
  };
  const select = makeSelect({
    groups: () => [{ items }],
    placeholder: "Add people",
    label: "Add people",
    onchange: invite,
  });
  return select.node;
}

function showPerson(one) {
  makeDialog(
    one.real_name,
    [
      el(
        "div",
        { class: "profile" },
        avatar(one, "large"),
        el(
          "div",
          {},
          el("b", {}, one.real_name),
          el("div", {}, one.title || (one.is_bot ? "App" : "")),
          el("div", { class: "menu-hint" }, `@${one.name}`),
        ),
      ),
    ],
    { className: "dialog-small" },
  );
}

/** Shows a channel's pins beside `anchor`; `reveal(ts)` scrolls to one. */
export function showPins(anchor, id, reveal) {
  if (isOpen(anchor)) return closePopup();
  const pins = store.rooms.get(id)?.pins ?? [];
  const cards = pins.map((message) => {
    const when = moment(message.ts);
    const author = authorOf(message);
    const open = () => {
      closePopup();
      reveal(message.ts);
    };
    return el(
      "button",
      { type: "button", class: "pin-card", onclick: open },
      el(
        "span",
        { class: "pin-head" },
        avatar(author, "tiny"),
        el("b", {}, author.real_name),
        el("small", {}, `${dayName(when)} at ${clock(when)}`),
      ),
      el("span", { class: "pin-text" }, plain(message.text).slice(0, 280)),
    );
  });
  openPopup(
    anchor,
    el(
      "div",
      { class: "pins", role: "dialog", "aria-label": "Pinned messages", "data-testid": "pins" },
      el("div", { class: "menu-heading" }, "Pinned messages"),
      cards,
    ),
  );
  return anchor.ownerDocument.querySelector(".pin-card")?.focus();
}
