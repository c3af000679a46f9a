// The main pane: a channel, a direct message, or the app's Home.

import { makeComposer } from "./composer.js";
import { showDetails, showPins } from "./details.js";
import { el, icon, link } from "./dom.js";
import { withEmoji } from "./emoji.js";
import { renderHome } from "./home.js";
import { makeMessageList } from "./messagelist.js";
import { mrkdwn } from "./mrkdwn.js";
import { openChannel, openDirect, openHome, openThread } from "./nav.js";
import { avatar } from "./people.js";
import { channelName, isAppChat, listedMessages, on, person, store } from "./store.js";
import { act, orToast } from "./toast.js";

let list = null;
let newFrom = null;

/** Shows places in `main` from now on. */
export function startRoom(main) {
  on("place", () => show(main));
  on("home", () => store.place?.kind === "home" && show(main));
  on("room", (id) => id === store.place?.id && sync());
  on("channel", (id) => id === store.place?.id && refreshFrame(main));
  on("state", () => store.place && refreshFrame(main));
}

function show(main) {
  const { kind, id } = store.place;
  if (kind === "home") {
    list = null;
    document.title = `${store.app?.name ?? "App"} | ${store.team.name}`;
    main.replaceChildren(appHead("home"), renderHome(store.place));
    return;
  }
  const channel = store.channels.get(id);
  document.title = `${channel.is_im ? "" : "#"}${channelName(channel)} | ${store.team.name}`;
  newFrom = firstUnread(id, store.place.unread);
  list = makeMessageList({
    label: `Messages in ${channelName(channel)}`,
    intro: intro(channel),
    reply: (message) => orToast(openThread(id, message.ts)),
  });
  main.replaceChildren(head(channel), bar(channel), list.node, foot(channel));
  sync();
  list.toBottom();
  main.querySelector(".composer-input")?.focus({ preventScroll: true });
}

function sync() {
  list?.sync(listedMessages(store.place.id), { newFrom });
}

// Only the frame changes when a topic or a pin does: what is being typed stays.
function refreshFrame(main) {
  const { kind, id } = store.place;
  const channel = store.channels.get(id);
  if (kind !== "channel" || !channel || !list) return;
  main.querySelector(".room-head")?.replaceWith(head(channel));
  main.querySelector(".room-bar")?.replaceWith(bar(channel));
  const old = main.querySelector(".room-foot");
  if (old && old.dataset.kind !== footKind(channel)) old.replaceWith(foot(channel));
  sync();
}

function firstUnread(id, unread) {
  if (!unread) return null;
  const others = listedMessages(id).filter((m) => m.user !== store.me && !m.ephemeral);
  return others.at(-unread)?.ts ?? null;
}

function head(channel) {
  if (isAppChat(channel)) return appHead("messages");
  const other = channel.is_im ? person(channel.im_user) : null;
  const sign = other ? avatar(other, "small") : icon(channel.is_private ? "lock" : "hash");
  const topic = other ? other.title : channel.topic;
  return el(
    "header",
    { class: "room-head" },
    el(
      "h1",
      {},
      el(
        "button",
        { type: "button", class: "room-name", onclick: () => showDetails(channel.id) },
        sign,
        el("span", {}, channelName(channel)),
        icon("chevron-down"),
      ),
    ),
    topic
      ? el("div", { class: "room-topic", title: topic }, topicWords(topic))
      : el("div", { class: "room-topic" }),
    other ? null : members(channel),
  );
}

function topicWords(topic) {
  return mrkdwn(topic);
}

function members(channel) {
  const ids = store.rooms.get(channel.id)?.members ?? [];
  const faces = ids.slice(0, 3).map((id) => avatar(person(id), "small"));
  const label = `${ids.length} ${ids.length === 1 ? "member" : "members"}`;
  return el(
    "button",
    {
      type: "button",
      class: "room-members",
      title: label,
      "aria-label": `View ${label}`,
      onclick: () => showDetails(channel.id),
    },
    el("span", { class: "faces" }, faces),
    el("span", {}, String(ids.length)),
  );
}

function appHead(tab) {
  const { app } = store;
  const tabButton = (id, label, open) =>
    el(
      "button",
      {
        type: "button",
        role: "tab",
        class: "tab",
        "aria-selected": String(id === tab),
        onclick: () => orToast(open()),
      },
      label,
    );
  return el(
    "header",
    { class: "room-head room-head-app" },
    el(
      "h1",
      { class: "room-name" },
      avatar(person(app?.bot_user_id), "small"),
      el("span", {}, app?.name ?? "App"),
    ),
    el(
      "div",
      { class: "tabs", role: "tablist" },
      tabButton("home", "Home", openHome),
      tabButton("messages", "Messages", () => openDirect(app.bot_user_id)),
    ),
  );
}

function bar(channel) {
  const room = store.rooms.get(channel.id);
  const pins = room?.pins?.length ?? 0;
  const parts = (room?.bookmarks ?? []).map((bookmark) => {
    const node = link(bookmark.link, icon("bookmark"), el("span", {}, withEmoji(bookmark.title)));
    node.classList.add("bookmark");
    return node;
  });
  if (pins) {
    const button = el(
      "button",
      {
        type: "button",
        class: "bookmark",
        "aria-expanded": "false",
        "aria-haspopup": "dialog",
        onclick: () => showPins(button, channel.id, (ts) => reveal(ts)),
      },
      icon("pin"),
      el("span", {}, `${pins} pinned`),
    );
    parts.unshift(button);
  }
  return el("div", { class: "room-bar", hidden: parts.length === 0 }, parts);
}

/** Scrolls to a message of the open channel and lights it up. */
function reveal(ts) {
  const node = list?.find(ts);
  node?.scrollIntoView({ block: "center" });
  node?.classList.add("is-lit");
  setTimeout(() => node?.classList.remove("is-lit"), 2500);
}

function intro(channel) {
  if (channel.is_im) {
    const other = person(channel.im_user);
    return el(
      "div",
      { class: "intro" },
      avatar(other, "large"),
      el("h2", {}, other.real_name),
      el("p", {}, `This conversation is just between ${other.real_name} and you.`),
    );
  }
  const purpose = channel.purpose
    ? mrkdwn(channel.purpose)
    : ["This is the very beginning of the channel."];
  return el(
    "div",
    { class: "intro" },
    el("h2", {}, icon(channel.is_private ? "lock" : "hash"), channel.name),
    el("p", {}, purpose),
  );
}

function footKind(channel) {
  if (channel.is_archived) return "archived";
  return channel.is_member || channel.is_im ? "composer" : "preview";
}

function foot(channel) {
  const kind = footKind(channel);
  const sign = channel.is_im || channel.is_private ? "" : "#";
  const content = {
    archived: () =>
      el(
        "div",
        { class: "notice-bar" },
        `You are viewing ${sign}${channel.name}, an archived channel.`,
      ),
    preview: () => preview(channel),
    composer: () =>
      makeComposer({ channel: channel.id, placeholder: `Message ${sign}${channelName(channel)}` })
        .node,
  }[kind]();
  return el("div", { class: "room-foot", "data-kind": kind }, content);
}

function preview(channel) {
  const join = async () => {
    const done = await act(`/practice/channels/${encodeURIComponent(channel.id)}/join`);
    if (!done) return;
    store.channels.set(channel.id, { ...channel, is_member: true });
    await openChannel(channel.id);
  };
  return el(
    "div",
    { class: "notice-bar" },
    el("b", {}, `#${channel.name}`),
    el(
      "button",
      { type: "button", class: "button button-primary", onclick: () => orToast(join()) },
      "Join channel",
    ),
  );
}
