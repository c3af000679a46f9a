// Things that float above the page: menus, lists to choose from, small dialogs.

import { el, icon, iconButton, uniqueId } from "./dom.js";

let current = null;

/** Opens `content` beside `anchor`; one popup at a time. Gives the function that closes it. */
export function openPopup(anchor, content, { side = "left", onclose } = {}) {
  closePopup();
  const popup = el("div", { class: "popup" }, content);
  (anchor.closest("dialog") ?? document.body).append(popup);
  place(popup, anchor, side);
  anchor.setAttribute("aria-expanded", "true");
  current = { popup, anchor, onclose };
  document.addEventListener("keydown", escape, true);
  document.addEventListener("pointerdown", outside, true);
  window.addEventListener("resize", closePopup);
  return closePopup;
}

/** Closes the open popup, if any, and gives the focus back. */
export function closePopup() {
  if (!current) return;
  const { popup, anchor, onclose } = current;
  const hadFocus = popup.contains(document.activeElement);
  current = null;
  document.removeEventListener("pointerdown", outside, true);
  document.removeEventListener("keydown", escape, true);
  window.removeEventListener("resize", closePopup);
  popup.remove();
  anchor.setAttribute("aria-expanded", "false");
  if (hadFocus) anchor.focus();
  onclose?.();
}

/** Says whether the popup of `anchor` is open, so that a second press can close it. */
export function isOpen(anchor) {
  return current?.anchor === anchor;
}

function escape(event) {
  if (event.key !== "Escape") return;
  event.preventDefault();
  event.stopPropagation();
  closePopup();
}

function outside(event) {
  const { popup, anchor } = current;
  if (!popup.contains(event.target) && !anchor.contains(event.target)) closePopup();
}

function place(popup, anchor, side) {
  const box = anchor.getBoundingClientRect();
  const gap = 4;
  const below = innerHeight - box.bottom - gap * 3;
  const above = box.top - gap * 3;
  const height = popup.offsetHeight;
  const up = height > below && above > below;
  popup.style.maxHeight = `${Math.max(120, up ? above : below)}px`;
  if (up) popup.style.bottom = `${innerHeight - box.top + gap}px`;
  else popup.style.top = `${box.bottom + gap}px`;
  const wanted = side === "right" ? box.right - popup.offsetWidth : box.left;
  popup.style.left = `${Math.max(8, Math.min(wanted, innerWidth - popup.offsetWidth - 8))}px`;
}

/** Opens a menu. Items are `{label, icon, hint, danger, run}`, `{heading}` or `{line: true}`. */
export function openMenu(anchor, items, { side, label } = {}) {
  if (isOpen(anchor)) return closePopup();
  const menu = el("div", { class: "menu", role: "menu", "aria-label": label }, items.map(menuItem));
  openPopup(anchor, menu, { side });
  const buttons = [...menu.querySelectorAll("[role=menuitem]")];
  menu.addEventListener("keydown", (event) => walk(event, buttons));
  buttons[0]?.focus({ preventScroll: true });
  return undefined;
}

function menuItem(item) {
  if (item.line) return el("div", { class: "menu-line", role: "separator" });
  if (item.heading) return el("div", { class: "menu-heading" }, item.heading);
  const run = () => {
    closePopup();
    item.run();
  };
  const danger = item.danger ? " menu-danger" : "";
  return el(
    "button",
    { type: "button", role: "menuitem", class: `menu-item${danger}`, onclick: run, tabindex: -1 },
    item.icon ? icon(item.icon) : (item.lead ?? null),
    el("span", { class: "menu-text" }, el("span", {}, item.label), hint(item.hint)),
  );
}

function hint(text) {
  return text ? el("span", { class: "menu-hint" }, text) : null;
}

/** Moves the focus among `nodes` with the arrow keys, Home and End. */
function walk(event, nodes) {
  const index = nodes.indexOf(document.activeElement);
  const targets = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: nodes.length - 1 };
  if (!(event.key in targets) || nodes.length === 0) return;
  event.preventDefault();
  nodes[(targets[event.key] + nodes.length) % nodes.length].focus();
}

/** Makes a dialog with a title and a close button; `onclose` hears when it is gone. */
export function makeDialog(title, body, { footer, className = "", onclose, testid } = {}) {
  const id = uniqueId("dialog");
  const dialog = el(
    "dialog",
    { class: `dialog ${className}`, "aria-labelledby": id, "data-testid": testid },
    el(
      "div",
      { class: "dialog-head" },
      el("h2", { id }, title),
      iconButton("close", "Close", () => dialog.close(), { class: "icon-button dialog-close" }),
    ),
    el("div", { class: "dialog-body" }, body),
    footer ? el("div", { class: "dialog-foot" }, footer) : null,
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    onclose?.();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks a question with two answers; gives true where the person confirms. */
export function ask({ title, body, yes = "Yes", no = "Cancel", danger = false }) {
  return new Promise((resolve) => {
    let answer = false;
    const choose = (value) => () => {
      answer = value;
      dialog.close();
    };
    const style = danger ? "button-danger" : "button-primary";
    const footer = [
      el("button", { type: "button", class: "button", onclick: choose(false) }, no),
      el("button", { type: "button", class: `button ${style}`, onclick: choose(true) }, yes),
    ];
    const dialog = makeDialog(title, body, {
      footer,
      className: "dialog-small",
      onclose: () => resolve(answer),
      testid: "confirm",
    });
    footer[1].focus();
  });
}
