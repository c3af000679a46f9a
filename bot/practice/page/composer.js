// The box to write in: formatting, commands, mentions, emoji and shortcuts.

import { makeSuggestions } from "./suggestions.js";
import { el, iconButton } from "./dom.js";
import { glyph } from "./emoji.js";
import { openEmojiPicker } from "./picker.js";
import { openMenu } from "./popup.js";
import { store } from "./store.js";
import { act } from "./toast.js";

const drafts = new Map();
const FORMATS = [
  ["bold", "Bold", "*", "*"],
  ["italic", "Italic", "_", "_"],
  ["strike", "Strikethrough", "~", "~"],
  ["link", "Link", "https://", ""],
  ["list", "Bulleted list", "• ", ""],
  ["quote", "Quote", "> ", ""],
  ["code", "Code", "`", "`"],
];

/** Makes a composer for a channel, or for one of its threads. */
export function makeComposer({ channel, thread = null, placeholder }) {
  const draftKey = `${store.me} ${channel} ${thread ?? ""}`;
  const input = el("textarea", {
    class: "composer-input",
    rows: 1,
    placeholder,
    "aria-label": placeholder,
    "data-testid": thread ? "thread-composer" : "composer",
    id: thread ? null : "composer-input",
  });
  input.value = drafts.get(draftKey) ?? "";
  const send = iconButton("send", "Send now", () => submit(), {
    class: "icon-button send",
    "data-testid": thread ? "thread-send" : "send",
  });
  const suggestions = makeSuggestions(input, () => changed());

  function changed() {
    drafts.set(draftKey, input.value);
    send.classList.toggle("is-ready", input.value.trim() !== "");
    send.setAttribute("aria-disabled", String(input.value.trim() === ""));
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight, 240)}px`;
  }

  async function submit() {
    // A leading space stays: it makes a message of what would be a command.
    const text = input.value.trimEnd();
    if (!text) return;
    write("");
    suggestions.close();
    const body = { channel, text, ...(thread ? { thread_ts: thread } : {}) };
    const answer = await act("/practice/messages", body);
    if (answer === null && input.value === "") write(text);
  }

  function write(text) {
    input.value = text;
    changed();
  }

  function insert(text) {
    input.setRangeText(text, input.selectionStart, input.selectionEnd, "end");
    input.focus();
    changed();
  }

  function surround(before, after) {
    const { selectionStart: from, selectionEnd: to } = input;
    const chosen = input.value.slice(from, to);
    input.setRangeText(before + chosen + after, from, to, "end");
    const caret = chosen ? input.selectionEnd : from + before.length;
    input.setSelectionRange(caret, caret);
    input.focus();
    changed();
  }

  input.addEventListener("input", () => {
    changed();
    suggestions.look();
  });
  input.addEventListener("keydown", (event) => {
    if (suggestions.key(event) || event.isComposing) return;
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    submit();
  });
  const formats = FORMATS.map(([name, label, before, after]) =>
    iconButton(name, label, () => surround(before, after)),
  );
  const smile = iconButton(
    "smile",
    "Emoji",
    () => openEmojiPicker(smile, (name) => insert(glyph(name) ? `:${name}: ` : "")),
    { "aria-expanded": "false" },
  );
  const at = iconButton("at", "Mention someone", () => {
    insert("@");
    suggestions.look();
  });
  const bolt = iconButton("bolt", "Shortcuts", () => openShortcuts(bolt, insert, suggestions), {
    "aria-haspopup": "menu",
    "aria-expanded": "false",
    "data-testid": thread ? null : "shortcuts",
  });
  const node = el(
    "div",
    { class: "composer" },
    suggestions.node,
    el(
      "div",
      { class: "composer-box" },
      el(
        "div",
        { class: "composer-formats", role: "toolbar", "aria-label": "Formatting" },
        formats,
      ),
      input,
      el(
        "div",
        { class: "composer-tools" },
        bolt,
        smile,
        at,
        el("span", { class: "spacer" }),
        send,
      ),
    ),
    el(
      "div",
      { class: "composer-hint", "aria-hidden": "true" },
      el("b", {}, "Shift + Return"),
      " to add a new line",
    ),
  );
  changed();
  requestAnimationFrame(changed);
  return { node, focus: () => input.focus(), input };
}

function openShortcuts(anchor, insert, suggestions) {
  const shortcuts = store.shortcuts.filter((shortcut) => shortcut.type === "global");
  const items = shortcuts.map((shortcut) => ({
    label: shortcut.name,
    hint: shortcut.description,
    icon: "bolt",
    run: () => act("/practice/shortcuts", { callback_id: shortcut.callback_id }),
  }));
  const commands = {
    label: "Slash commands",
    hint: "Type / to see them all",
    icon: "code",
    run: () => {
      insert("/");
      suggestions.look();
    },
  };
  const heading = {
    heading: shortcuts.length ? (store.app?.name ?? "Shortcuts") : "No shortcuts yet",
  };
  openMenu(anchor, [heading, ...items, { line: true }, commands], { label: "Shortcuts" });
}
