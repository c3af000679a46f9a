// Slack's mrkdwn as nodes. Only what stands between real angle brackets is a mention or a link;
// escaped text (&lt;!channel&gt;) is decoded last and can never become one.

import { formatDate } from "./dates.js";
import { el, link, safeUrl } from "./dom.js";
import { withEmoji } from "./emoji.js";
import { person, store } from "./store.js";

const MARK = { open: "\uE000", close: "\uE001" };
const URL_END = /[.,;:!?)\]'"*_~]+$/;
const SPECIAL = /`([^`\n]+)`|<([^<>\n]+)>|(https?:\/\/(?:(?!&[lg]t;)[^\s<>`|\uE000])+)/g;
const EMPHASIS = /(?<![\p{L}\p{N}_])([*_~])(?!\s|\1)(.+?)(?<!\s)\1(?![\p{L}\p{N}])/u;
const TAGS = { "*": "b", _: "i", "~": "s" };

/** Renders mrkdwn. With `verbatim`, bare addresses stay plain text. */
export function mrkdwn(text, { verbatim = false } = {}) {
  const clean = String(text ?? "").replace(/[\uE000\uE001]/g, "");
  return clean.split(/```/).flatMap((part, index, parts) => {
    const fenced = index % 2 === 1 && index < parts.length - 1;
    if (fenced) return preformatted(part);
    const rest = index % 2 === 1 ? "```" + part : part;
    const afterFence = index > 0 && index % 2 === 0;
    return lines(afterFence ? rest.replace(/^\n/, "") : rest, verbatim);
  });
}

/** Gives text with &lt;, &gt; and &amp; decoded. */
function decode(text) {
  return text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
}

/** Gives mrkdwn as the plain text a person would read aloud. */
export function plain(text) {
  return el("span", {}, ...mrkdwn(text)).textContent;
}

function preformatted(text) {
  return [el("pre", {}, codeText(text.replace(/^\n|\n$/g, "")))];
}

function codeText(text) {
  return decode(text.replace(/<([^<>\n]+)>/g, (_, inner) => special(inner).textContent));
}

function lines(text, verbatim) {
  const groups = [];
  let rest = text;
  const everything = /(^|\n)(?:>>>|&gt;&gt;&gt;) ?([\s\S]*)$/.exec(text);
  if (everything) rest = text.slice(0, everything.index);
  for (const line of rest === "" && everything ? [] : rest.split("\n")) sort(groups, line);
  if (everything) groups.push({ kind: "quote", lines: everything[2].split("\n") });
  return groups.flatMap((group, index) => {
    const next = groups[index + 1];
    return [...draw(group, verbatim), ...(plainPair(group, next) ? [el("br")] : [])];
  });
}

function sort(groups, line) {
  const quote = /^(?:>|&gt;) ?(.*)$/.exec(line);
  const item = /^\s*(?:[•◦-]|(\d+)\.)\s+(.*)$/.exec(line);
  const kind = quote ? "quote" : item ? "list" : "line";
  const content = quote ? quote[1] : item ? { mark: item[1], text: item[2] } : line;
  const last = groups.at(-1);
  if (kind !== "line" && last?.kind === kind) last.lines.push(content);
  else groups.push({ kind, lines: [content] });
}

function plainPair(group, next) {
  return group.kind === "line" && next?.kind === "line";
}

function draw(group, verbatim) {
  if (group.kind === "quote") {
    const parts = group.lines.flatMap((line, i) => [
      ...(i > 0 ? [el("br")] : []),
      ...inline(line, verbatim),
    ]);
    return [el("blockquote", {}, parts)];
  }
  if (group.kind === "list") {
    const items = group.lines.map(({ mark, text }) =>
      el("li", { "data-mark": mark ? `${mark}.` : "•" }, ...inline(text, verbatim)),
    );
    return [el("ul", { class: "text-list" }, items)];
  }
  return inline(group.lines[0], verbatim);
}

function inline(line, verbatim) {
  const kept = [];
  const marked = line.replace(SPECIAL, (whole, code, inner, url) => {
    if (url !== undefined && verbatim) return whole;
    if (code !== undefined) kept.push(el("code", {}, codeText(code)));
    else if (inner !== undefined) kept.push(special(inner));
    else kept.push(bareLink(url));
    const rest = url === undefined ? "" : url.slice(url.length - trailing(url));
    return `${MARK.open}${kept.length - 1}${MARK.close}${rest}`;
  });
  return emphasise(marked, kept);
}

// A full stop or bracket after an address belongs to the sentence.
function trailing(url) {
  return URL_END.exec(url)?.[0].length ?? 0;
}

function bareLink(url) {
  const address = decode(url.slice(0, url.length - trailing(url)));
  return link(address, address);
}

function emphasise(text, kept) {
  const match = EMPHASIS.exec(text);
  if (!match) return leaf(text, kept);
  const before = text.slice(0, match.index);
  const after = text.slice(match.index + match[0].length);
  const node = el(TAGS[match[1]], {}, ...emphasise(match[2], kept));
  return [...leaf(before, kept), node, ...emphasise(after, kept)];
}

function leaf(text, kept) {
  return text.split(/\uE000(\d+)\uE001/).flatMap((part, index) => {
    return index % 2 === 1 ? [kept[Number(part)]] : withEmoji(decode(part));
  });
}

function special(inner) {
  const [target, ...labels] = inner.split("|");
  const label = labels.length ? decode(labels.join("|")) : null;
  if (target.startsWith("@")) return userMention(target.slice(1), label);
  if (target.startsWith("#")) return channelMention(target.slice(1), label);
  if (target.startsWith("!date^")) return dateText(target, label);
  if (target.startsWith("!subteam^")) return groupMention(target.slice(9), label);
  if (target.startsWith("!")) return broadcast(target.slice(1), label);
  const address = decode(target);
  // Anything else in angle brackets, such as HTML or a script, is shown as it was written.
  if (safeUrl(address) === null) return el("span", {}, `<${decode(inner)}>`);
  return link(address, ...withEmoji(label ?? address.replace(/^mailto:/, "")));
}

/** Draws a mention of a person; those of oneself stand out. */
export function userMention(id, label) {
  const known = store.people.get(id);
  const text = `@${known ? known.real_name : (label ?? id).replace(/^@/, "")}`;
  const mine = id === store.me ? " mention-me" : "";
  return el("span", { class: `mention${mine}`, title: person(id).title }, text);
}

/** Draws a mention of a channel, which opens it. */
export function channelMention(id, label) {
  const known = store.channels.get(id);
  const text = `#${known?.name ?? (label || "private-channel")}`;
  if (!known) return el("span", { class: "mention" }, text);
  return el("button", { type: "button", class: "mention", "data-open-channel": id }, text);
}

/** Draws a mention of a user group. */
export function groupMention(id, label) {
  const text = `@${(store.usergroups.get(id)?.handle ?? label ?? "group").replace(/^@/, "")}`;
  return el("span", { class: "mention" }, text);
}

/** Draws @here, @channel and @everyone. */
export function broadcast(range, label) {
  const known = ["here", "channel", "everyone"].includes(range);
  if (!known) return el("span", {}, label ?? `<!${range}>`);
  return el("span", { class: "mention mention-me" }, `@${range}`);
}

function dateText(target, fallback) {
  const [, seconds, format, url] = target.split("^");
  if (!/^\d+$/.test(seconds ?? "") || !format) return el("span", {}, fallback ?? "");
  const shown = formatDate(seconds, decode(format));
  const title = new Date(Number(seconds) * 1000).toLocaleString();
  const time = el("time", { title }, shown);
  return url ? link(decode(url), time) : time;
}
