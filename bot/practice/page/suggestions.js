// Suggestions while typing: /commands, @people, #channels and :emoji:.

import { el, uniqueId } from "./dom.js";
import { EMOJI, emoji } from "./emoji.js";
import { avatar } from "./people.js";
import { store } from "./store.js";

const MOST = 8;
const TRIGGER = /(?:^|[\s(])([@#:])([\w.+-]*)$/;

/** Makes the suggestions of a text box; `changed` hears that one was taken over. */
export function makeSuggestions(input, changed) {
  const id = uniqueId("suggestions");
  const box = el("div", {
    id,
    class: "suggestions",
    role: "listbox",
    "aria-label": "Suggestions",
    hidden: true,
  });
  let options = [];
  let active = 0;
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", id);
  input.addEventListener("blur", () => setTimeout(close, 150));

  function look() {
    const found = suggest(input.value, input.selectionStart);
    if (!found.items.length) return close();
    options = found.items.map((item, index) => ({ ...item, node: row(item, index) }));
    const heading = el("div", { class: "menu-heading" }, found.heading);
    box.replaceChildren(heading, ...options.map((option) => option.node));
    box.hidden = false;
    activate(0);
    return undefined;
  }

  function row(item, index) {
    const take = (event) => {
      event.preventDefault();
      choose(index);
    };
    return el(
      "div",
      {
        id: uniqueId("suggestion"),
        class: "option",
        role: "option",
        onpointerdown: take,
        onpointermove: () => activate(index),
      },
      item.lead,
      el(
        "span",
        { class: "menu-text" },
        el("span", {}, el("b", {}, item.label), item.usage ? ` ${item.usage}` : ""),
        item.hint ? el("span", { class: "menu-hint" }, item.hint) : null,
      ),
    );
  }

  function activate(index) {
    options[active]?.node.classList.remove("is-active");
    active = (index + options.length) % options.length;
    const { node } = options[active];
    for (const option of options)
      option.node.setAttribute("aria-selected", String(option.node === node));
    node.classList.add("is-active");
    node.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", node.id);
  }

  function choose(index) {
    const { from, text } = options[index];
    input.setRangeText(text, from, input.selectionStart, "end");
    close();
    input.focus();
    changed();
  }

  function close() {
    box.hidden = true;
    options = [];
    input.removeAttribute("aria-activedescendant");
  }

  function key(event) {
    if (box.hidden) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const complete = input.value === options[active]?.text.trimEnd();
    if (step) activate(active + step);
    else if (event.key === "Escape") close();
    else if (event.key === "Tab" || (event.key === "Enter" && !complete)) choose(active);
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  return { node: box, look, close, key };
}

function suggest(value, caret) {
  const before = value.slice(0, caret);
  if (/^\/\S*$/.test(before)) return { heading: "Commands", items: commands(before) };
  const match = TRIGGER.exec(before);
  if (!match) return { items: [] };
  const [, sign, word] = match;
  const from = caret - word.length - 1;
  const [heading, source] = SOURCES[sign];
  return {
    heading,
    items: source(word.toLowerCase())
      .slice(0, MOST)
      .map((item) => ({ ...item, from })),
  };
}

function commands(typed) {
  return store.commands
    .filter(({ command }) => command.startsWith(typed.toLowerCase()))
    .map(({ command, description, usage_hint }) => ({
      from: 0,
      text: `${command} `,
      label: command,
      usage: usage_hint,
      hint: description,
      lead: el("span", { class: "option-mark" }, "/"),
    }));
}

const SOURCES = { "@": ["People", people], "#": ["Channels", channels], ":": ["Emoji", emojis] };

function people(word) {
  const ranges = ["here", "channel"].map((name) => ({
    name,
    real_name: `@${name}`,
    title: "Notify this channel",
  }));
  return [...store.people.values(), ...ranges]
    .filter((one) => !one.deleted && `${one.name} ${one.real_name}`.toLowerCase().includes(word))
    .map((one) => ({
      text: `@${one.name} `,
      label: one.real_name,
      usage: one.id ? one.name : "",
      hint: one.title,
      lead: one.id ? avatar(one, "tiny") : el("span", { class: "option-mark" }, "@"),
    }));
}

function channels(word) {
  return [...store.channels.values()]
    .filter((channel) => !channel.is_im && !channel.is_archived && channel.name.includes(word))
    .map((channel) => ({
      text: `#${channel.name} `,
      label: channel.name,
      hint: channel.topic,
      lead: el("span", { class: "option-mark" }, "#"),
    }));
}

function emojis(word) {
  if (word.length < 2) return [];
  return [...EMOJI.keys()]
    .filter((name) => name.includes(word))
    .map((name) => ({
      text: `:${name}: `,
      label: `:${name}:`,
      lead: emoji(name),
    }));
}
