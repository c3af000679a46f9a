// One message, as it stands in a channel or a thread.

import { renderAttachment, renderBlocks } from "./blocks.js";
import { ago, clock, moment } from "./dates.js";
import { el, hexColor, icon, link } from "./dom.js";
import { emoji } from "./emoji.js";
import { mrkdwn } from "./mrkdwn.js";
import { appBadge, avatar } from "./people.js";
import { openEmojiPicker } from "./picker.js";
import { person, store } from "./store.js";
import { messageSurface } from "./surfaces.js";
import { act } from "./toast.js";

/** Renders a message; `compact` leaves out the author where the same one wrote the one before. */
export function renderMessage(message, { compact, inThread, earlier }) {
  const author = authorOf(message);
  const when = moment(message.ts);
  const surface = messageSurface(message, () => node, earlier);
  const name = el("span", { class: "message-author" }, author.real_name);
  const node = el(
    "div",
    {
      class: classes(message, compact),
      role: "article",
      tabindex: -1,
      "data-ts": message.ts,
      "data-channel-id": message.channel,
      "aria-label": `${author.real_name}, ${clock(when)}`,
    },
    marks(message, inThread),
    el(
      "div",
      { class: "message-gutter" },
      compact ? time(when, "message-side-time") : avatar(author),
    ),
    el(
      "div",
      { class: "message-main" },
      compact
        ? null
        : el("div", { class: "message-head" }, name, author.is_bot ? appBadge() : null, time(when)),
      content(message, surface),
      (message.files ?? []).map(file),
      reactions(message),
      inThread ? null : replyBar(message),
    ),
  );
  return node;
}

/** Gives who wrote a message, with the name it was posted under. */
export function authorOf(message) {
  const known = store.people.get(message.user) ?? botOf(message) ?? person(message.user ?? "app");
  return message.username ? { ...known, real_name: message.username } : known;
}

function botOf(message) {
  const bot = message.bot_id && store.app ? store.people.get(store.app.bot_user_id) : null;
  return bot ?? null;
}

/** Says whether a message is one the workspace wrote about somebody, such as a join. */
export function isSystem(message) {
  return (
    /^(channel|group|bot)_|^pinned_item$/.test(message.subtype ?? "") &&
    message.subtype !== "bot_message"
  );
}

function classes(message, compact) {
  const names = ["message"];
  if (compact) names.push("is-compact");
  if (message.ephemeral) names.push("is-ephemeral");
  if (message.pinned) names.push("is-pinned");
  if (isSystem(message)) names.push("is-system");
  return names.join(" ");
}

function marks(message, inThread) {
  const lines = [];
  if (message.ephemeral) lines.push(mark("eye", "Only visible to you"));
  if (message.pinned) lines.push(mark("pin", "Pinned"));
  if (message.subtype === "thread_broadcast" && !inThread) {
    const open = el(
      "button",
      {
        type: "button",
        class: "link-button",
        "data-open-thread": message.thread_ts,
      },
      "a thread",
    );
    lines.push(mark("thread", el("span", {}, "replied to ", open)));
  }
  return lines;
}

function mark(name, content) {
  return el("div", { class: `message-mark mark-${name}` }, icon(name), el("span", {}, content));
}

function time(date, className = "message-time") {
  const title = date.toLocaleString([], { dateStyle: "full", timeStyle: "medium" });
  return el("time", { class: className, datetime: date.toISOString(), title }, clock(date));
}

function content(message, surface) {
  const blocks = message.blocks?.length ? renderBlocks(message.blocks, surface) : null;
  const text =
    blocks || !message.text ? null : el("div", { class: "mrkdwn message-text" }, words(message));
  const attached = (message.attachments ?? []).map((attachment) =>
    renderAttachment(attachment, surface, {
      bar: hexColor(attachment.color, "#dddddd"),
      old: oldAttachment,
    }),
  );
  const edited = message.edited ? el("span", { class: "edited" }, "(edited)") : null;
  if (edited && text) text.append(" ", edited);
  return [text, blocks, attached, edited && !text ? edited : null];
}

function words(message) {
  if (!isSystem(message)) return mrkdwn(message.text);
  const self = new RegExp(`^<@${message.user}(?:\\|[^>]*)?>\\s+(?:has )?`);
  return mrkdwn(message.text.replace(self, ""));
}

function oldAttachment(attachment) {
  const { author_name, title, title_link, text, fields, image_url, footer, fallback } = attachment;
  const body = [
    author_name ? el("div", { class: "attachment-author" }, author_name) : null,
    title
      ? el("div", { class: "attachment-title" }, title_link ? link(title_link, title) : title)
      : null,
    text ? el("div", { class: "mrkdwn" }, mrkdwn(text)) : null,
    fields ? el("div", { class: "fields" }, fields.map(oldField)) : null,
    image_url
      ? el("img", { class: "block-image-picture", src: image_url, alt: title ?? "" })
      : null,
    footer ? el("div", { class: "attachment-footer" }, footer) : null,
  ].filter(Boolean);
  return body.length ? body : el("div", { class: "mrkdwn" }, mrkdwn(fallback));
}

function oldField({ title, value }) {
  return el("div", { class: "mrkdwn" }, el("b", {}, title), el("br"), mrkdwn(value));
}

function file({ name, title, mimetype, size, url }) {
  const path = String(url).startsWith("/") ? url : null;
  if (path && /^image\/(png|jpeg|gif|webp)$/.test(mimetype)) {
    return el("img", {
      class: "block-image-picture",
      src: path,
      alt: title || name,
      loading: "lazy",
    });
  }
  const facts = [mimetype, size ? `${Math.max(1, Math.round(size / 1024))} kB` : null];
  return el(
    path ? "a" : "div",
    { class: "file", href: path, download: path ? name : null },
    el("span", { class: "file-icon" }, icon("file")),
    el(
      "span",
      {},
      el("b", {}, title || name),
      el("br"),
      el("small", {}, facts.filter(Boolean).join(" · ")),
    ),
  );
}

function reactions(message) {
  if (!message.reactions?.length) return null;
  const add = el(
    "button",
    {
      type: "button",
      class: "reaction reaction-add",
      "aria-label": "Add reaction",
      title: "Add reaction",
      onclick: () => openEmojiPicker(add, (name) => toggleReaction(message, name)),
    },
    icon("smile-plus"),
  );
  return el(
    "div",
    { class: "reactions" },
    message.reactions.map((one) => reaction(message, one)),
    add,
  );
}

function reaction(message, { name, count, users }) {
  const mine = users.includes(store.me);
  const who = users.map((id) => (id === store.me ? "You" : person(id).real_name)).join(", ");
  return el(
    "button",
    {
      type: "button",
      class: `reaction${mine ? " is-mine" : ""}`,
      "aria-pressed": String(mine),
      title: `${who} reacted with :${name}:`,
      "aria-label": `${count} reacted with :${name}:`,
      onclick: () => toggleReaction(message, name),
      "data-reaction": name,
    },
    emoji(name),
    el("span", { class: "reaction-count" }, String(count)),
  );
}

/** Adds the person's reaction, or takes it away where it is there. */
export function toggleReaction(message, name) {
  const mine = message.reactions?.some((one) => one.name === name && one.users.includes(store.me));
  const body = { channel: message.channel, ts: message.ts, name };
  return act("/practice/reactions", mine ? { ...body, remove: true } : body);
}

function replyBar(message) {
  if (!message.reply_count) return null;
  const faces = (message.reply_users ?? []).slice(0, 4).map((id) => avatar(person(id), "small"));
  const count = `${message.reply_count} ${message.reply_count === 1 ? "reply" : "replies"}`;
  const latest = message.latest_reply ? `Last reply ${ago(moment(message.latest_reply))}` : "";
  return el(
    "button",
    { type: "button", class: "reply-bar", "data-open-thread": message.ts },
    el("span", { class: "faces" }, faces),
    el("span", { class: "reply-count" }, count),
    el("span", { class: "reply-latest" }, latest),
    el("span", { class: "reply-view" }, "View thread"),
    icon("chevron-right"),
  );
}
