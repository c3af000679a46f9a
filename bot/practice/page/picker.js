// The emoji picker.

import { el } from "./dom.js";
import { EMOJI, emoji } from "./emoji.js";
import { closePopup, isOpen, openPopup } from "./popup.js";

const FREQUENT = [
  "white_check_mark",
  "eyes",
  "raised_hands",
  "+1",
  "pushpin",
  "fire",
  "tada",
  "pray",
];
const ACROSS = 8;

/** Opens the picker beside `anchor`; `pick` hears the name of the emoji. */
export function openEmojiPicker(anchor, pick) {
  if (isOpen(anchor)) return closePopup();
  const filter = el("input", {
    type: "text",
    class: "list-filter",
    placeholder: "Search all emoji",
    "aria-label": "Search all emoji",
  });
  const grid = el("div", { class: "emoji-grid" });
  const foot = el("div", { class: "emoji-foot" }, "Pick your reaction");
  const choose = (name) => {
    closePopup();
    pick(name);
  };
  const draw = () => {
    const needle = filter.value.trim().toLowerCase().replace(/:/g, "");
    const names = [...EMOJI.keys()].filter((name) => name.includes(needle));
    const first = needle
      ? []
      : [heading("Frequently used"), ...FREQUENT.map(cell), heading("All emoji")];
    grid.replaceChildren(...first, ...names.map(cell));
  };
  const cell = (name) =>
    el(
      "button",
      {
        type: "button",
        class: "emoji-cell",
        "data-emoji": name,
        "aria-label": `:${name}:`,
        onclick: () => choose(name),
        onpointerenter: () => foot.replaceChildren(emoji(name), ` :${name}:`),
      },
      emoji(name),
    );
  filter.addEventListener("input", draw);
  filter.addEventListener("keydown", (event) => {
    const first = grid.querySelector(".emoji-cell");
    if (event.key === "Enter" && first) choose(first.dataset.emoji);
    else if (event.key === "ArrowDown") first?.focus();
    else return;
    event.preventDefault();
  });
  grid.addEventListener("keydown", (event) => move(event, grid, filter));
  draw();
  openPopup(anchor, el("div", { class: "emoji-picker" }, filter, grid, foot), { side: "right" });
  return filter.focus({ preventScroll: true });
}

function heading(text) {
  return el("div", { class: "menu-heading emoji-heading" }, text);
}

function move(event, grid, filter) {
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: ACROSS, ArrowUp: -ACROSS };
  if (!(event.key in steps)) return;
  event.preventDefault();
  const cells = [...grid.querySelectorAll(".emoji-cell")];
  const index = cells.indexOf(document.activeElement) + steps[event.key];
  if (index < 0) filter.focus();
  else cells[Math.min(index, cells.length - 1)].focus();
}
