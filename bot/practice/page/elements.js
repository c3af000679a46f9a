// Block Kit's interactive elements, and the values they hold in Slack's `state.values` shape.

import { el, icon, link, safeUrl } from "./dom.js";
import { withEmoji } from "./emoji.js";
import { choicesOf } from "./choices.js";
import { fieldMaker } from "./fields.js";
import { mrkdwn } from "./mrkdwn.js";
import { ask, openMenu } from "./popup.js";
import { makeSelect } from "./select.js";

const readers = new WeakMap();

/** Renders a text object. */
export function textObject(text) {
  if (!text) return [];
  if (text.type === "mrkdwn") return mrkdwn(text.text, { verbatim: text.verbatim });
  return text.emoji === false ? [text.text] : withEmoji(text.text ?? "");
}

/** Reads the values of all fields under `root`: block id, then action id, then Slack's value. */
export function readValues(root) {
  const values = {};
  for (const node of root.querySelectorAll("[data-action-id]")) {
    const value = readers.get(node)?.();
    if (!value) continue;
    const { blockId, actionId } = node.dataset;
    values[blockId] = { ...values[blockId], [actionId]: value };
  }
  return values;
}

/**
 * Renders one element of a block.
 *
 * `surface` says where it stands: `send(action)` tells the app, `value(block, element)` gives what
 * was filled in before. With `field`, the label of an input block, nothing is sent on a change
 * unless the block asks for it.
 */
export function renderElement(element, block, surface, field = null) {
  const attributes = { "data-action-id": element.action_id, "data-block-id": block.block_id };
  const context = { element, block, surface, attributes, field };
  if (element.type === "button" || element.type === "workflow_button") return button(context);
  if (element.type === "overflow") return overflow(context);
  if (element.type === "image") return image(element, "accessory-image");
  if (/select$/.test(element.type)) return select(context);
  if (element.type === "checkboxes" || element.type === "radio_buttons") return boxes(context);
  const maker = fieldMaker(element);
  if (maker) return input(context, maker);
  return el("span", { class: "unsupported" }, `(${element.type} is not shown here)`);
}

/** Draws an image an app named by its address. */
export function image(element, className) {
  const src = safeUrl(element.image_url ?? element.slack_file?.url);
  return el("img", { class: className, src, alt: element.alt_text ?? "", loading: "lazy" });
}

function button({ element, block, surface, attributes }) {
  const { style, text, value, url } = element;
  const node = el(
    "button",
    {
      type: "button",
      class: `button${["primary", "danger"].includes(style) ? ` button-${style}` : ""}`,
      "aria-label": element.accessibility_label,
      ...attributes,
    },
    el("span", { class: "button-text" }, textObject(text)),
  );
  const address = safeUrl(url);
  node.addEventListener("click", async () => {
    if (node.getAttribute("aria-disabled") === "true" || !(await confirmed(element))) return;
    if (address) link(address).click();
    await busy(node, () =>
      surface.send(action(block, element, value === undefined ? {} : { value })),
    );
  });
  return node;
}

async function busy(node, work) {
  // aria-disabled keeps the focus where it was; a disabled button would lose it.
  node.setAttribute("aria-disabled", "true");
  node.classList.add("is-busy");
  try {
    await work();
  } finally {
    node.removeAttribute("aria-disabled");
    node.classList.remove("is-busy");
  }
}

function action(block, element, value) {
  return { block_id: block.block_id, action_id: element.action_id, type: element.type, ...value };
}

async function confirmed({ confirm }) {
  if (!confirm) return true;
  return ask({
    title: textObject(confirm.title),
    body: el("div", { class: "mrkdwn" }, textObject(confirm.text)),
    yes: textObject(confirm.confirm),
    no: textObject(confirm.deny),
    danger: confirm.style === "danger",
  });
}

function overflow({ element, block, surface, attributes }) {
  const choose = async (option) => {
    const address = safeUrl(option.url);
    if (!(await confirmed(element))) return;
    if (address) link(address).click();
    await busy(node, () => surface.send(action(block, element, { selected_option: option })));
  };
  const items = () =>
    element.options.map((option) => ({
      label: textObject(option.text),
      run: () => choose(option),
    }));
  const node = el(
    "button",
    {
      type: "button",
      class: "button button-overflow",
      "aria-label": "More actions",
      "aria-haspopup": "menu",
      onclick: () => openMenu(node, items(), { side: "right" }),
      ...attributes,
    },
    icon("dots"),
  );
  return node;
}

/** Makes an element that holds a value: `read` gives it, `write` puts an earlier one back. */
function stateful(context, { target, read, write }) {
  const { element, block, surface, field } = context;
  const type = element.type;
  readers.set(target, () => ({ type, ...read() }));
  const earlier = surface.value(block, element);
  if (earlier?.type === type) write(earlier);
  let settled = read();
  return async () => {
    surface.touched?.(block);
    if (field && !block.dispatch_action) return;
    if (!(await confirmed(element))) {
      write(settled);
      return;
    }
    settled = read();
    await surface.send(action(block, element, settled));
  };
}

function select(context) {
  const { element, attributes, field } = context;
  const choices = choicesOf(element);
  let changed = null;
  const menu = makeSelect({
    groups: choices.groups,
    initial: choices.initial,
    multi: choices.multi,
    most: element.max_selected_items,
    placeholder: element.placeholder?.text ?? choices.placeholder,
    label: field,
    attributes,
    onchange: () => changed(),
  });
  changed = stateful(context, {
    target: menu.trigger,
    read: () => choices.read(menu.ids()),
    write: (value) => menu.set(choices.ids(value)),
  });
  return menu.node;
}

function boxes(context) {
  const { element, block, attributes, field } = context;
  const many = element.type === "checkboxes";
  const initial = many ? (element.initial_options ?? []) : [element.initial_option].filter(Boolean);
  const name = `${block.block_id}-${element.action_id}-${Math.random()}`;
  const rows = element.options.map((option) => box(option, { many, name, initial }));
  const node = el(
    "div",
    { class: "boxes", role: many ? "group" : "radiogroup", "aria-label": field, ...attributes },
    rows.map((row) => row.label),
  );
  const chosen = () => rows.filter((row) => row.input.checked).map((row) => row.option);
  const changed = stateful(context, {
    target: node,
    read: () => (many ? { selected_options: chosen() } : { selected_option: chosen()[0] ?? null }),
    write: (value) => {
      const wanted = (value.selected_options ?? [value.selected_option]).map((o) => o?.value);
      for (const row of rows) row.input.checked = wanted.includes(row.option.value);
    },
  });
  node.addEventListener("change", () => changed());
  return node;
}

function box(option, { many, name, initial }) {
  const input = el("input", {
    type: many ? "checkbox" : "radio",
    name,
    value: option.value,
    checked: initial.some((chosen) => chosen.value === option.value),
  });
  const description = option.description
    ? el("span", { class: "box-hint" }, textObject(option.description))
    : null;
  const words = el(
    "span",
    {},
    el("span", { class: "box-text" }, textObject(option.text)),
    description,
  );
  return { option, input, label: el("label", { class: "box" }, input, words) };
}

function input(context, maker) {
  const { element, attributes, field } = context;
  const { node, control, read, write } = maker({ ...attributes, "aria-label": field });
  const changed = stateful(context, { target: control, read, write });
  const events = element.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"];
  const typed = /_input$/.test(element.type);
  control.addEventListener("input", () => {
    context.surface.touched?.(context.block);
    if (typed && events.includes("on_character_entered")) changed();
  });
  control.addEventListener("keydown", (event) => {
    const enters = event.key === "Enter" && !event.shiftKey && typed && !event.isComposing;
    if (enters && context.block.dispatch_action && events.includes("on_enter_pressed")) {
      event.preventDefault();
      changed();
    }
  });
  if (!typed) control.addEventListener("change", () => changed());
  return node;
}
