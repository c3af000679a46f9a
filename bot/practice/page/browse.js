// Finding and making places: all channels, a new channel, a new message, jumping by name.

import { el, icon } from "./dom.js";
import { plain } from "./mrkdwn.js";
import { openChannel, openDirect, openHome } from "./nav.js";
import { avatar, humans } from "./people.js";
import { makeDialog } from "./popup.js";
import { makeList } from "./select.js";
import { channelName, store } from "./store.js";
import { act, orToast } from "./toast.js";

/** Lists all channels one may see, to open or join. */
export function browseChannels() {
  const rooms = [...store.channels.values()].filter((channel) => !channel.is_im);
  const rows = rooms.map((channel) =>
    el(
      "button",
      {
        type: "button",
        class: "member",
        onclick: () => {
          dialog.close();
          orToast(openChannel(channel.id));
        },
      },
      icon(channel.is_private ? "lock" : "hash"),
      el(
        "span",
        { class: "menu-text" },
        el("span", {}, el("b", {}, channel.name), channel.is_archived ? " (archived)" : ""),
        el(
          "span",
          { class: "menu-hint" },
          [
            channel.is_member ? "Joined" : null,
            count(channel.num_members),
            channel.topic && plain(channel.topic),
          ]
            .filter(Boolean)
            .join(" · "),
        ),
      ),
    ),
  );
  const dialog = makeDialog("All channels", el("div", { class: "member-list" }, rows));
}

function count(number) {
  return `${number ?? 0} ${number === 1 ? "member" : "members"}`;
}

/** Asks for a name and creates a channel. */
export function createChannel() {
  const name = el("input", {
    class: "field",
    type: "text",
    maxlength: 80,
    placeholder: "e.g. deploys",
    "aria-label": "Name",
    autocomplete: "off",
  });
  const secret = el("input", { type: "checkbox" });
  name.addEventListener("input", () => {
    name.value = name.value.toLowerCase().replace(/\s/g, "-");
  });
  const form = el(
    "form",
    { id: "create-channel" },
    el("div", { class: "input-label" }, "Name"),
    name,
    el("label", { class: "box" }, secret, el("span", {}, "Make private")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await act("/practice/channels", {
      name: name.value,
      is_private: secret.checked,
    });
    if (!answer) return;
    dialog.close();
    if (!answer.channel) return;
    store.channels.set(answer.channel.id, answer.channel);
    orToast(openChannel(answer.channel.id));
  });
  const create = el(
    "button",
    { type: "submit", form: "create-channel", class: "button button-primary" },
    "Create",
  );
  const dialog = makeDialog("Create a channel", form, {
    footer: [create],
    className: "dialog-small",
  });
  name.focus();
}

/** Chooses somebody to write to. */
export function newMessage() {
  const people = humans().filter((one) => one.id !== store.me);
  choose("New message", [{ items: people.map(personItem) }], (item) => openDirect(item.id));
}

/** Jumps to a channel, a person or the app. */
export function jump() {
  const rooms = [...store.channels.values()].filter(
    (channel) => !channel.is_im && !channel.is_archived,
  );
  const channels = rooms.map((channel) => ({
    id: channel.id,
    label: channelName(channel),
    hint: plain(channel.topic ?? ""),
    room: true,
    lead: icon(channel.is_private ? "lock" : "hash"),
  }));
  const people = humans()
    .filter((one) => one.id !== store.me)
    .map(personItem);
  const app = store.app
    ? [{ id: "home", label: store.app.name, hint: "App", lead: icon("apps") }]
    : [];
  const groups = [
    { label: "Channels", items: channels },
    { label: "People", items: people },
    { label: "Apps", items: app },
  ];
  choose("Jump to", groups, (item) => {
    if (item.id === "home") return openHome();
    return item.room ? openChannel(item.id) : openDirect(item.id);
  });
}

function personItem(one) {
  return { id: one.id, label: one.real_name, hint: one.title, lead: avatar(one, "tiny") };
}

function choose(title, groups, open) {
  const pick = (item) => {
    dialog.close();
    orToast(open(item));
  };
  const list = makeList({ groups, pick, label: title, placeholder: "Search channels and people" });
  const dialog = makeDialog(title, list.node, { className: "dialog-jump" });
  list.focus();
}
