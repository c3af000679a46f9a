// The sidebar: channels, direct messages, the app, and who one acts as.

import { browseChannels, createChannel, jump, newMessage } from "./browse.js";
import { el, icon, iconButton } from "./dom.js";
import { actAs, openChannel, openHome } from "./nav.js";
import { avatar, humans } from "./people.js";
import { closePopup, isOpen, openMenu, openPopup } from "./popup.js";
import { makeList } from "./select.js";
import { channelName, isAppChat, on, person, store } from "./store.js";
import { orToast } from "./toast.js";

const folded = new Set();

let nav = null;

/** Shows the sidebar in `node` from now on. */
export function startSidebar(node) {
  nav = node;
  for (const topic of ["state", "channels", "channel", "place", "person"]) on(topic, draw);
}

function draw() {
  // A popup hangs on the button it was opened with, so nothing moves until it closes.
  if (nav.querySelector("[aria-haspopup][aria-expanded=true]")) return;
  const held = nav.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const scrolled = nav.querySelector(".sidebar-scroll")?.scrollTop ?? 0;
  nav.replaceChildren(...parts());
  const scroll = nav.querySelector(".sidebar-scroll");
  if (scroll) scroll.scrollTop = scrolled;
  if (held) nav.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
}

function parts() {
  const scroll = el("div", { class: "sidebar-scroll" }, channels(), direct(), apps());
  return [workspaceHead(), scroll, switcher()];
}

function workspaceHead() {
  const menu = [
    { label: "Jump to…", hint: "Ctrl+K", icon: "search", run: jump },
    { label: "All channels", icon: "hash", run: browseChannels },
    { label: "Create a channel", icon: "plus", run: createChannel },
  ];
  const button = el(
    "button",
    {
      type: "button",
      class: "workspace-name",
      "data-key": "workspace",
      "aria-haspopup": "menu",
      "aria-expanded": "false",
      onclick: () => openMenu(button, menu, { label: "Workspace" }),
    },
    el("span", {}, store.team.name),
    icon("chevron-down"),
  );
  return el(
    "div",
    { class: "workspace-head" },
    button,
    iconButton("message", "New message", newMessage, {
      class: "icon-button compose",
      "data-key": "compose",
    }),
  );
}

function section(name, rows, add = null) {
  const shut = folded.has(name);
  const toggle = () => {
    if (!folded.delete(name)) folded.add(name);
    draw();
  };
  const title = el(
    "button",
    {
      type: "button",
      class: "section-title",
      "aria-expanded": String(!shut),
      onclick: toggle,
      "data-key": name,
    },
    icon("caret"),
    name,
  );
  const shown = shut ? rows.filter((row) => row.matches(".is-unread, .is-here")) : rows;
  return el(
    "div",
    { class: "sidebar-section", role: "group", "aria-label": name },
    el("div", { class: "section-head" }, title, add),
    shown,
  );
}

function channels() {
  const rooms = [...store.channels.values()].filter(
    (channel) => !channel.is_im && !channel.is_archived,
  );
  const here = store.place?.id;
  const shown = rooms.filter((channel) => channel.is_member || channel.id === here);
  shown.sort((a, b) => a.name.localeCompare(b.name));
  const add = iconButton(
    "plus",
    "Add channels",
    () =>
      openMenu(
        add,
        [
          { label: "Browse channels", icon: "search", run: browseChannels },
          { label: "Create a channel", icon: "plus", run: createChannel },
        ],
        { label: "Add channels" },
      ),
    { "aria-haspopup": "menu", "data-key": "add-channel" },
  );
  return section(
    "Channels",
    shown.map((channel) => row(channel, icon(channel.is_private ? "lock" : "hash"), channel.name)),
    add,
  );
}

function direct() {
  const rows = [...store.channels.values()]
    .filter((channel) => channel.is_im && !isAppChat(channel))
    .map((channel) => row(channel, avatar(person(channel.im_user), "tiny"), channelName(channel)));
  const add = iconButton("plus", "New message", newMessage, { "data-key": "add-direct" });
  return section("Direct messages", rows, add);
}

function row(channel, lead, label) {
  const here = store.place?.kind === "channel" && store.place.id === channel.id;
  const unread = here ? 0 : (channel.unread ?? 0);
  const names = [
    "sidebar-row",
    here ? "is-here" : "",
    unread ? "is-unread" : "",
    channel.is_member ? "" : "is-preview",
  ];
  const count =
    unread && channel.is_im
      ? el("span", { class: "count", "aria-hidden": "true" }, String(unread))
      : null;
  return el(
    "button",
    {
      type: "button",
      class: names.join(" "),
      "data-channel-id": channel.id,
      "data-key": channel.id,
      "aria-current": here ? "page" : null,
      "data-unread": unread || null,
      "aria-label": `${channel.is_private && !channel.is_im ? "private channel " : ""}${label}${unread ? `, ${unread} unread` : ""}`,
      onclick: () => orToast(openChannel(channel.id)),
    },
    lead,
    el("span", { class: "sidebar-label" }, label),
    count,
  );
}

function apps() {
  const { app } = store;
  if (!app) return null;
  const chat = [...store.channels.values()].find(isAppChat);
  const here = store.place?.kind === "home" || (chat && store.place?.id === chat.id);
  const unread = here ? 0 : (chat?.unread ?? 0);
  const button = el(
    "button",
    {
      type: "button",
      class: `sidebar-row${here ? " is-here" : ""}${unread ? " is-unread" : ""}`,
      "data-testid": "app-home",
      "data-key": "app",
      "aria-current": here ? "page" : null,
      onclick: () => orToast(openHome()),
    },
    avatar(person(app.bot_user_id), "tiny"),
    el("span", { class: "sidebar-label" }, app.name),
    unread ? el("span", { class: "count" }, String(unread)) : null,
  );
  return section("Apps", [button]);
}

function switcher() {
  const me = person(store.me);
  const button = el(
    "button",
    {
      type: "button",
      class: "switcher",
      "data-testid": "person-switcher",
      "data-key": "switcher",
      "aria-haspopup": "listbox",
      "aria-expanded": "false",
      "aria-label": `Acting as ${me.real_name}, ${me.title}. Act as somebody else`,
      onclick: () => chooser(button),
    },
    avatar(me),
    el(
      "span",
      { class: "switcher-text" },
      el("span", { class: "switcher-hint" }, "Acting as"),
      el("span", { class: "switcher-name" }, me.real_name),
      el("span", { class: "switcher-title" }, me.title),
    ),
    icon("up-down"),
  );
  return el("div", { class: "switcher-wrap" }, button);
}

function chooser(button) {
  if (isOpen(button)) return closePopup();
  const items = humans().map((one) => ({
    id: one.id,
    label: one.real_name,
    hint: one.title || one.name,
    lead: avatar(one),
  }));
  const pick = (item) => {
    closePopup();
    if (item.id !== store.me) orToast(actAs(item.id));
  };
  const list = makeList({
    groups: [{ label: "Act as", items }],
    chosen: new Set([store.me]),
    pick,
    label: "Act as",
  });
  list.node.classList.add("people-list");
  openPopup(button, list.node, { onclose: draw });
  return list.focus();
}
