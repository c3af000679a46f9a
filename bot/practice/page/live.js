// Changes as they happen, over server-sent events.

import { announce } from "./dom.js";
import { authorOf } from "./message.js";
import { dropModals, viewEvent } from "./modals.js";
import { plain } from "./mrkdwn.js";
import { markRead } from "./nav.js";
import {
  isReply,
  loadRoom,
  loadThread,
  on,
  refreshState,
  store,
  tell,
  upsertMessage,
} from "./store.js";
import { orToast, toast } from "./toast.js";

const RETRY_MS = 2000;
const REFRESH_MS = 150;
let source = null;
let refreshing = null;

/** Listens as the person from now on, and as somebody else after every switch. */
export function startLive() {
  on("person", () => {
    dropModals();
    connect();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && store.place?.kind === "channel") markRead(store.place.id);
  });
  connect();
}

function connect() {
  source?.close();
  const own = new EventSource(`/practice/events?${new URLSearchParams({ as: store.me })}`);
  source = own;
  own.onopen = () => {
    document.body.classList.remove("is-offline");
    orToast(resync());
  };
  own.onmessage = (event) => {
    if (own !== source) return;
    const data = JSON.parse(event.data);
    HANDLERS[data.type]?.(data);
  };
  own.onerror = () => {
    if (own !== source) return;
    document.body.classList.add("is-offline");
    if (own.readyState === EventSource.CLOSED)
      setTimeout(() => own === source && connect(), RETRY_MS);
  };
}

// Nothing is replayed after a break, so everything shown is fetched again.
async function resync() {
  const me = store.me;
  await refreshState();
  const { place, thread } = store;
  if (me !== store.me || place?.kind !== "channel") return;
  if (!store.channels.has(place.id)) return tell("gone", place.id);
  await loadRoom(place.id);
  if (thread) await loadThread(thread.channel, thread.ts);
  return tell("room", place.id);
}

function refreshSoon() {
  clearTimeout(refreshing);
  refreshing = setTimeout(() => orToast(refreshState()), REFRESH_MS);
}

const HANDLERS = {
  message({ message }) {
    const isNew = upsertMessage(message);
    tell("room", message.channel);
    const here = store.place?.kind === "channel" && store.place.id === message.channel;
    if (!here && !message.ephemeral) return refreshSoon();
    if (!isNew || !here) return undefined;
    if (message.user !== store.me) say(message);
    if (!isReply(message) && !document.hidden) markRead(message.channel);
    return undefined;
  },
  message_deleted({ channel, ts }) {
    store.rooms.get(channel)?.messages.delete(ts);
    tell("room", channel);
  },
  channel({ channel }) {
    const before = store.channels.get(channel.id);
    if (before?.name !== channel.name) store.names += 1;
    store.channels.set(channel.id, { ...before, ...channel });
    if (channel.id === store.place?.id) orToast(refreshMembers(channel.id));
    tell("channels");
    tell("channel", channel.id);
  },
  pins({ channel, pins }) {
    const room = store.rooms.get(channel);
    if (!room) return;
    room.pins = pins;
    tell("channel", channel);
  },
  bookmarks({ channel, bookmarks }) {
    const room = store.rooms.get(channel);
    if (!room) return;
    room.bookmarks = bookmarks;
    tell("channel", channel);
  },
  view({ op, view }) {
    viewEvent(op, view);
  },
  home({ view }) {
    if (store.place?.kind !== "home") return;
    store.place.view = view;
    tell("home");
  },
  notice({ text }) {
    toast(text);
  },
  state() {
    orToast(resync());
  },
};

async function refreshMembers(id) {
  await loadRoom(id);
  tell("channel", id);
}

function say(message) {
  announce(`${authorOf(message).real_name}: ${plain(message.text).slice(0, 300)}`);
}
