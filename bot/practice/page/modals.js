// Modals: views an app opens, one above the other, and what their forms send.

import { post } from "./api.js";
import { renderBlocks, showErrors } from "./blocks.js";
import { el, iconButton, uniqueId } from "./dom.js";
import { readValues, textObject } from "./elements.js";
import { closePopup } from "./popup.js";
import { avatar } from "./people.js";
import { person, store } from "./store.js";
import { viewSurface } from "./surfaces.js";
import { act, orToast } from "./toast.js";
import { faults } from "./validation.js";

let stack = [];
let dialog = null;

/** Takes over what the server says about a view: `open`, `push`, `update` or `close`. */
export function viewEvent(op, view) {
  if (op === "close") stack = view ? stack.filter((frame) => frame.view.id !== view.id) : [];
  else if (find(view)) replace(view);
  else if (op === "open") stack = [frameOf(view)];
  else if (op === "push") stack = [...stack, frameOf(view)];
  else return;
  show();
}

/** Forgets all modals, without telling the app. */
export function dropModals() {
  stack = [];
  show();
}

function find(view) {
  return stack.find((frame) => frame.view.id === view.id);
}

function replace(view) {
  stack = stack.map((frame) =>
    frame.view.id === view.id ? frameOf(view, readValues(frame.node)) : frame,
  );
}

// Makes `view` the top one, as the server answered; without a view, all modals are gone.
function settle(view) {
  const index = view ? stack.findIndex((frame) => frame.view.id === view.id) : -1;
  stack = view ? stack.slice(0, index + 1) : [];
  show();
}

function frameOf(view, earlier = {}) {
  const title = uniqueId("modal-title");
  const body = el("div", { class: "modal-body" });
  const banner = el("div", { class: "modal-banner", role: "alert", hidden: true });
  const form = el("form", { class: "modal-form", novalidate: true, "data-view-id": view.id });
  const touched = (block) => clearError(body, block);
  body.append(
    banner,
    renderBlocks(
      view.blocks,
      viewSurface(view, () => form, earlier, touched),
    ),
  );
  const frame = { view, node: form, body, banner, title, busy: false };
  form.append(head(frame), body, ...foot(frame));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (view.submit && !frame.busy) orToast(submit(frame));
  });
  return frame;
}

function head(frame) {
  const { view, title } = frame;
  const mark = view.previous_view_id
    ? iconButton("back", "Back", () => orToast(dismiss(frame)))
    : avatar(person(store.app?.bot_user_id), "app-mark");
  return el(
    "header",
    { class: "modal-head" },
    mark,
    el("h2", { id: title }, textObject(view.title)),
    iconButton("close", "Close", () => orToast(dismiss(frame)), {
      class: "icon-button dialog-close",
    }),
  );
}

function foot(frame) {
  const { submit: submitText, close } = frame.view;
  if (!submitText && !close) return [];
  const cancel = el(
    "button",
    { type: "button", class: "button", onclick: () => orToast(dismiss(frame)) },
    close ? textObject(close) : "Cancel",
  );
  const send = submitText
    ? el(
        "button",
        { type: "submit", class: "button button-primary", "data-testid": "modal-submit" },
        textObject(submitText),
      )
    : null;
  return [el("footer", { class: "modal-foot" }, cancel, send)];
}

async function submit(frame) {
  const own = faults(frame.view.blocks, readValues(frame.node));
  if (complain(frame, own)) return;
  setBusy(frame, "is-busy");
  let answer = null;
  try {
    answer = await post(`/practice/views/${encodeURIComponent(frame.view.id)}/submit`, {
      as: store.me,
      state: { values: readValues(frame.node) },
    });
  } catch (error) {
    answer = { ok: false, error: error.message };
  }
  setBusy(frame, null);
  follow(frame, answer);
}

function setBusy(frame, name) {
  frame.busy = name !== null;
  const button = frame.node.querySelector("[type=submit]");
  button?.setAttribute("aria-disabled", String(frame.busy));
  button?.classList.toggle("is-busy", frame.busy);
}

function follow(frame, answer) {
  if (answer.ok === false) {
    if (!complain(frame, answer.errors ?? {})) say(frame, answer.error ?? "That did not work.");
    return;
  }
  if (answer.action === "update" && answer.view) viewEvent("update", answer.view);
  else if (answer.action === "push" && answer.view) viewEvent("push", answer.view);
  else if (answer.action === "clear") settle(null);
  else settle(answer.view ?? null);
}

function complain(frame, errors) {
  const first = showErrors(frame.body, errors);
  frame.banner.hidden = true;
  first?.focus();
  first?.closest(".block")?.scrollIntoView({ block: "nearest" });
  return first !== null;
}

function say(frame, text) {
  frame.banner.textContent = text;
  frame.banner.hidden = false;
}

function clearError(body, block) {
  const node = body.querySelector(
    `.block-input[data-block-id="${CSS.escape(block.block_id ?? "")}"]`,
  );
  if (!node?.classList.contains("has-error")) return;
  node.classList.remove("has-error");
  node.querySelector(".field-error").hidden = true;
  node.querySelector("[aria-invalid]")?.removeAttribute("aria-invalid");
}

async function dismiss(frame) {
  stack = frame.view.clear_on_close ? [] : stack.slice(0, Math.max(0, stack.indexOf(frame)));
  show();
  await act(`/practice/views/${encodeURIComponent(frame.view.id)}/close`);
}

function show() {
  closePopup();
  const frame = stack.at(-1);
  if (!frame) {
    dialog?.close();
    return;
  }
  dialog ??= makeModal();
  dialog.setAttribute("aria-labelledby", frame.title);
  dialog.classList.toggle("has-foot", Boolean(frame.node.querySelector(".modal-foot")));
  if (dialog.firstChild === frame.node) return;
  const held =
    dialog.querySelector("form")?.dataset.viewId === frame.view.id ? heldIn(dialog) : null;
  dialog.replaceChildren(frame.node);
  if (!dialog.open) dialog.showModal();
  if (held) frame.body.scrollTop = held.scrolled;
  const same = held?.place ? frame.node.querySelector(held.place) : null;
  if (same) same.focus({ preventScroll: true });
  else focusFirst(frame);
}

// Where the person was in a view that is about to be drawn anew.
function heldIn(node) {
  const { blockId, actionId } = document.activeElement?.dataset ?? {};
  const place = actionId
    ? `[data-block-id="${CSS.escape(blockId)}"][data-action-id="${CSS.escape(actionId)}"]`
    : null;
  return { place, scrolled: node.querySelector(".modal-body").scrollTop };
}

function focusFirst(frame) {
  const wanted =
    frame.body.querySelector("[autofocus]") ??
    frame.body.querySelector("input:not([type=hidden]), textarea, select, .select-trigger");
  (wanted ?? frame.node.querySelector(".dialog-close")).focus({ preventScroll: true });
}

function makeModal() {
  const node = el("dialog", { class: "dialog modal", "data-testid": "modal" });
  node.addEventListener("cancel", (event) => {
    event.preventDefault();
    const frame = stack.at(-1);
    if (frame) orToast(dismiss(frame));
  });
  node.addEventListener("close", () => {
    node.remove();
    dialog = null;
  });
  document.body.append(node);
  return node;
}
