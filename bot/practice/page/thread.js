// The thread pane at the right.

import { makeComposer } from "./composer.js";
import { el, iconButton } from "./dom.js";
import { makeMessageList } from "./messagelist.js";
import { closeThread } from "./nav.js";
import { channelName, on, store, threadMessages } from "./store.js";

let list = null;

/** Shows threads in `pane` from now on. */
export function startThread(pane) {
  on("thread", () => show(pane));
  on("room", (id) => id === store.thread?.channel && sync());
  on("state", sync);
  pane.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) closeThread();
  });
}

function show(pane) {
  const { thread } = store;
  document.body.classList.toggle("has-thread", Boolean(thread));
  pane.hidden = !thread;
  list = null;
  if (!thread) {
    pane.replaceChildren();
    return;
  }
  const channel = store.channels.get(thread.channel);
  list = makeMessageList({ label: "Thread", inThread: true });
  const member = channel?.is_member !== false && !channel?.is_archived;
  const composer = member
    ? makeComposer({ channel: thread.channel, thread: thread.ts, placeholder: "Reply…" })
    : null;
  pane.replaceChildren(
    el(
      "header",
      { class: "thread-head" },
      el("h2", {}, "Thread"),
      el("span", { class: "thread-place" }, `${channel?.is_im ? "" : "# "}${channelName(channel)}`),
      iconButton("close", "Close thread", closeThread),
    ),
    list.node,
    el("div", { class: "room-foot" }, composer?.node),
  );
  sync();
  list.toBottom();
  composer?.focus();
}

function sync() {
  if (list && store.thread) list.sync(threadMessages(store.thread.channel, store.thread.ts));
}
