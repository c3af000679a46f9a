// What the page knows: people, channels and messages as the server told them, and where the
// person is looking. Views listen to changes; nothing else holds a copy.

import { get } from "./api.js";

export const store = {
  me: null,
  team: { name: "Practice" },
  app: null,
  people: new Map(),
  channels: new Map(),
  usergroups: new Map(),
  rooms: new Map(),
  commands: [],
  shortcuts: [],
  panels: [],
  place: null,
  thread: null,
  names: 0, // counts changes of names, which messages show
};
const listeners = new Map();

/** Calls `listener` whenever `topic` is told. */
export function on(topic, listener) {
  listeners.set(topic, [...(listeners.get(topic) ?? []), listener]);
}

/** Tells everybody who listens to `topic`. */
export function tell(topic, ...details) {
  for (const listener of listeners.get(topic) ?? []) listener(...details);
}

/** Fetches people, channels and what the app offers, as `me` sees them. */
export async function refreshState(me = store.me) {
  const state = await get("/practice/state", me ? { as: me } : {});
  if (me !== store.me) return state;
  keep(state);
  return state;
}

/** Takes over a state the server answered. */
export function keep(state) {
  const before = namesNow();
  store.team = state.team;
  store.me = state.me?.id ?? state.me;
  store.app = state.app ?? null;
  store.people = new Map(state.people.map((person) => [person.id, person]));
  store.channels = new Map(state.channels.map((channel) => [channel.id, channel]));
  store.usergroups = new Map((state.usergroups ?? []).map((group) => [group.id, group]));
  store.commands = state.commands ?? [];
  store.shortcuts = state.shortcuts ?? [];
  store.panels = state.panels ?? [];
  if (namesNow() !== before) store.names += 1;
  tell("state");
}

function namesNow() {
  const people = [...store.people.values()].map((one) => [one.real_name, one.title]);
  return JSON.stringify([store.me, people, [...store.channels.values()].map(({ name }) => name)]);
}

/** Fetches a channel with its messages. */
export async function loadRoom(id) {
  const me = store.me;
  const answer = await get(`/practice/channels/${encodeURIComponent(id)}`, { as: me });
  if (me !== store.me) return; // somebody else by now, who may see something else
  const before = store.rooms.get(id);
  const messages = new Map(answer.messages.map((message) => [message.ts, message]));
  for (const message of before?.messages.values() ?? []) {
    // Ephemeral messages live on the page only, and thread replies are not listed here.
    const lost = message.ephemeral || isReply(message);
    if (lost && !messages.has(message.ts)) messages.set(message.ts, message);
  }
  store.channels.set(id, { ...store.channels.get(id), ...answer.channel });
  const { pins = [], members = [], bookmarks = [] } = answer;
  store.rooms.set(id, { messages, pins, members, bookmarks });
}

/** Fetches a thread into its channel's room. */
export async function loadThread(channel, ts) {
  const path = `/practice/channels/${encodeURIComponent(channel)}/threads/${ts}`;
  const me = store.me;
  const { root, replies } = await get(path, { as: me });
  if (me !== store.me) return;
  const room = store.rooms.get(channel);
  for (const message of [root, ...replies]) room?.messages.set(message.ts, message);
}

/** Takes over a new or changed message; says whether it was not known before. */
export function upsertMessage(message) {
  const room = store.rooms.get(message.channel);
  if (!room) return true;
  const isNew = !room.messages.has(message.ts);
  room.messages.set(message.ts, message);
  return isNew;
}

/** Says whether a message stands in a thread below another one. */
export function isReply(message) {
  return Boolean(message.thread_ts) && message.thread_ts !== message.ts;
}

/** Lists what a channel itself shows, oldest first. */
export function listedMessages(id) {
  return sorted(id, (m) => !isReply(m) || m.subtype === "thread_broadcast");
}

/** Lists a thread's root and replies, oldest first. */
export function threadMessages(id, ts) {
  return sorted(id, (m) => m.ts === ts || m.thread_ts === ts);
}

function sorted(id, wanted) {
  const messages = [...(store.rooms.get(id)?.messages.values() ?? [])];
  return messages.filter(wanted).sort((a, b) => a.ts.localeCompare(b.ts));
}

/** Finds a member, or a stand-in with the same fields for somebody unknown. */
export function person(id) {
  const name = id ?? "unknown";
  return store.people.get(id) ?? { id, name, real_name: name, title: "", initials: "?" };
}

/** Names a conversation without "#": a channel's name, or the other person's. */
export function channelName(channel) {
  if (!channel) return "unknown";
  return channel.is_im ? person(channel.im_user).real_name : channel.name;
}

/** Says whether a conversation is the direct message with the app. */
export function isAppChat(channel) {
  return Boolean(channel?.is_im && store.app && channel.im_user === store.app.bot_user_id);
}
