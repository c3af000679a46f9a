// Going places: channels, the app's Home, threads, and acting as somebody else.

import { loadRoom, loadThread, on, refreshState, store, tell } from "./store.js";
import { act, orToast, toast } from "./toast.js";
import { humans } from "./people.js";

let steps = 0; // the newest step wins, however long an earlier one takes to load

/** Opens a channel or direct message. */
export async function openChannel(id) {
  steps += 1;
  const step = steps;
  const unread = store.channels.get(id)?.unread ?? 0;
  await loadRoom(id);
  if (step !== steps) return;
  go({ kind: "channel", id, unread });
  markRead(id);
}

/** Opens the app's Home tab. */
export async function openHome() {
  steps += 1;
  go({ kind: "home", view: null, asked: true });
  const answer = await act("/practice/home");
  if (answer && store.place?.kind === "home") {
    store.place.view ??= answer.view;
    store.place.asked = false;
    tell("home");
  }
}

/** Opens the direct message with somebody. */
export async function openDirect(user) {
  const answer = await act("/practice/im", { user });
  if (!answer) return;
  store.channels.set(answer.channel.id, answer.channel);
  await openChannel(answer.channel.id);
}

function go(place) {
  const same = store.place?.kind === place.kind && store.place?.id === place.id;
  store.place = place;
  if (!same) store.thread = null;
  remember();
  document.body.classList.remove("show-sidebar");
  tell("place");
  tell("thread");
}

/** Opens a thread beside the channel. */
export async function openThread(channel, ts) {
  await loadThread(channel, ts);
  store.thread = { channel, ts };
  tell("thread");
}

/** Closes the thread. */
export function closeThread() {
  store.thread = null;
  tell("thread");
}

/** Tells the server that the person has seen a channel. */
export function markRead(id) {
  const channel = store.channels.get(id);
  if (!channel?.is_member || document.hidden) return;
  if (channel.unread) {
    store.channels.set(id, { ...channel, unread: 0 });
    tell("channels");
  }
  orToast(act(`/practice/channels/${encodeURIComponent(id)}/read`));
}

/** Acts as somebody else from now on. */
export async function actAs(id) {
  steps += 1;
  const step = steps;
  const place = store.place;
  store.me = id;
  store.rooms.clear();
  store.thread = null;
  tell("person");
  await refreshState(id);
  if (step !== steps) return undefined;
  if (place?.kind === "home") return openHome();
  return openChannel(store.channels.has(place?.id) ? place.id : firstChannel());
}

/** Chooses the channel to start in. */
function firstChannel() {
  const rooms = [...store.channels.values()].filter((channel) => !channel.is_archived);
  const joined = rooms.filter((channel) => channel.is_member && !channel.is_im);
  return (joined[0] ?? rooms[0])?.id;
}

/** Reads the address: who to act as, and where to look. */
export function fromAddress() {
  const query = new URLSearchParams(location.search);
  return { as: query.get("as"), at: query.get("at") };
}

/** Finds the person the address names, by id or by name. */
export function personFromAddress(wanted) {
  const people = humans();
  return people.find((person) => [person.id, person.name].includes(wanted))?.id ?? null;
}

/** Opens what the address names, or the first channel. */
export async function openFromAddress(at) {
  if (at === "home") return openHome();
  const named = [...store.channels.values()].find((c) => c.id === at || (at && c.name === at));
  const id = named?.id ?? firstChannel();
  if (id === undefined) return toast("This workspace has no channels yet.");
  return openChannel(id);
}

function remember() {
  const me = store.people.get(store.me);
  const { kind, id } = store.place;
  const channel = store.channels.get(id);
  const at = kind === "home" ? "home" : channel?.is_im ? id : (channel?.name ?? id);
  history.replaceState(null, "", `?${new URLSearchParams({ as: me?.name ?? store.me, at })}`);
}

on("gone", (id) => {
  if (store.place?.id === id && firstChannel()) orToast(openChannel(firstChannel()));
});
