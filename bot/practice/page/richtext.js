// rich_text blocks and the markdown block as nodes.

import { formatDate } from "./dates.js";
import { el, hexColor, link } from "./dom.js";
import { emoji, glyph, withEmoji } from "./emoji.js";
import { broadcast, channelMention, groupMention, userMention } from "./mrkdwn.js";

/** Renders a rich_text block: sections, lists, preformatted text and quotes. */
export function richText(block) {
  return el("div", { class: "rich-text" }, (block.elements ?? []).map(part));
}

function part(element) {
  switch (element.type) {
    case "rich_text_list":
      return list(element);
    case "rich_text_preformatted":
      return el("pre", {}, spans(element, { literal: true }));
    case "rich_text_quote":
      return el("blockquote", {}, spans(element));
    default:
      return el("div", { class: "rich-section" }, spans(element));
  }
}

function list({ style, indent = 0, offset = 0, elements = [] }) {
  const ordered = style === "ordered";
  const items = elements.map((item) => el("li", {}, spans(item)));
  return el(
    ordered ? "ol" : "ul",
    { class: "rich-list", "data-indent": indent, start: ordered ? offset + 1 : null },
    items,
  );
}

function spans({ elements = [] }, options) {
  return elements.flatMap((element) => styled(span(element, options), element.style));
}

function span(element, { literal = false } = {}) {
  switch (element.type) {
    case "text":
      return literal ? [element.text] : [el("span", {}, element.text)];
    case "link":
      return [link(element.url, element.text ?? element.url)];
    case "user":
      return [userMention(element.user_id)];
    case "usergroup":
      return [groupMention(element.usergroup_id)];
    case "channel":
      return [channelMention(element.channel_id)];
    case "broadcast":
      return [broadcast(element.range)];
    case "emoji":
      return [emojiElement(element)];
    case "color":
      return [colorSpan(element.value)];
    case "date":
      return [dateSpan(element)];
    default:
      return [element.text ?? element.fallback ?? ""];
  }
}

function emojiElement({ name, unicode }) {
  if (glyph(name) !== undefined || !/^[0-9a-f]+(-[0-9a-f]+)*$/i.test(unicode ?? "")) {
    return emoji(name);
  }
  const points = unicode.split("-").map((point) => Number.parseInt(point, 16));
  const label = `:${name}:`;
  const character = String.fromCodePoint(...points.filter((point) => point <= 0x10ffff));
  return el("span", { class: "emoji", role: "img", "aria-label": label, title: label }, character);
}

function colorSpan(value) {
  const swatch = el("span", { class: "swatch", vars: { "--swatch": hexColor(value, "#ffffff") } });
  return el("span", {}, swatch, value);
}

function dateSpan({ timestamp, format, url }) {
  const time = el("time", {}, formatDate(timestamp, format));
  return url ? link(url, time) : time;
}

function styled(nodes, style) {
  if (!style) return nodes;
  const tags = { bold: "b", italic: "i", strike: "s", underline: "u", code: "code" };
  const wanted = Object.keys(tags).filter((name) => style[name]);
  return wanted.reduce((inner, name) => [el(tags[name], {}, inner)], nodes);
}

/** Renders a markdown block: the common part of Markdown, never HTML. */
export function markdown(text) {
  const root = el("div", { class: "markdown" });
  const rows = text.replace(/\r/g, "").split("\n");
  while (rows.length) root.append(...next(rows));
  return root;
}

function next(rows) {
  const row = rows.shift();
  const heading = /^(#{1,6})\s+(.*)$/.exec(row);
  if (/^\s*$/.test(row)) return [];
  if (/^\s*```/.test(row)) return [fence(rows)];
  if (heading) return [el(`h${Math.min(6, heading[1].length + 2)}`, {}, words(heading[2]))];
  if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(row)) return [el("hr")];
  if (/^>/.test(row)) return [el("blockquote", {}, joined(take(rows, row, /^>\s?(.*)$/)))];
  if (UNORDERED.test(row)) return [items("ul", take(rows, row, UNORDERED))];
  if (ORDERED.test(row)) return [items("ol", take(rows, row, ORDERED))];
  if (TABLE.test(row) && /^\s*\|?[\s:|-]+\|?\s*$/.test(rows[0] ?? "")) return [table(row, rows)];
  return [el("p", {}, joined(paragraph(rows, row)))];
}

const UNORDERED = /^\s*[-*+]\s+(.*)$/;
const ORDERED = /^\s*\d+[.)]\s+(.*)$/;
const TABLE = /^\s*\|.*\|\s*$/;
const STARTS = /^\s*$|^\s*```|^#{1,6}\s|^>|^\s*[-*+]\s+|^\s*\d+[.)]\s+|^\s*\|/;

function take(rows, first, pattern) {
  const taken = [pattern.exec(first)[1]];
  while (rows.length && pattern.test(rows[0])) taken.push(pattern.exec(rows.shift())[1]);
  return taken;
}

function paragraph(rows, first) {
  const taken = [first];
  while (rows.length && !STARTS.test(rows[0])) taken.push(rows.shift());
  return taken;
}

function fence(rows) {
  const end = rows.findIndex((row) => /^\s*```\s*$/.test(row));
  const taken = rows.splice(0, end < 0 ? rows.length : end);
  if (end >= 0) rows.shift();
  return el("pre", {}, taken.join("\n"));
}

function items(tag, texts) {
  return el(
    tag,
    { class: "rich-list" },
    texts.map((text) => el("li", {}, words(text))),
  );
}

function table(head, rows) {
  rows.shift();
  const body = [];
  while (rows.length && TABLE.test(rows[0])) body.push(rows.shift());
  const cells = (row, tag) =>
    row
      .trim()
      .slice(1, -1)
      .split("|")
      .map((cell) => el(tag, {}, words(cell.trim())));
  return el(
    "table",
    { class: "table" },
    el("thead", {}, el("tr", {}, cells(head, "th"))),
    el(
      "tbody",
      {},
      body.map((row) => el("tr", {}, cells(row, "td"))),
    ),
  );
}

function joined(texts) {
  return texts.flatMap((text, index) => [...(index ? [el("br")] : []), ...words(text)]);
}

const WORDS =
  /`([^`]+)`|\[([^\]]+)\]\(([^)\s]+)\)|\*\*(.+?)\*\*|__(.+?)__|~~(.+?)~~|\*([^*\s][^*]*)\*|(?<!\w)_([^_\s][^_]*)_(?!\w)|(https?:\/\/[^\s<>]*[^\s<>.,;:!?)])/;

function words(text) {
  const match = WORDS.exec(text);
  if (!match) return withEmoji(text);
  const [whole, code, label, target, strong, strong2, strike, italic, italic2, url] = match;
  const bold = strong ?? strong2;
  const slanted = italic ?? italic2;
  let node = null;
  if (code !== undefined) node = el("code", {}, code);
  else if (label !== undefined) node = link(target, ...words(label));
  else if (bold !== undefined) node = el("b", {}, words(bold));
  else if (strike !== undefined) node = el("s", {}, words(strike));
  else if (slanted !== undefined) node = el("i", {}, words(slanted));
  else node = link(url, url);
  const after = text.slice(match.index + whole.length);
  return [...withEmoji(text.slice(0, match.index)), node, ...words(after)];
}
