// A menu to choose one or several things from, with a filter to type into.

import { el, icon, iconButton, uniqueId } from "./dom.js";
import { closePopup, isOpen, openPopup } from "./popup.js";

const FILTER_FROM = 8;

/**
 * Makes a select. `groups()` gives `[{label, items: [{id, label, hint, lead}]}]`; `initial` lists
 * ids; `onchange` hears about choices by the person. The result has `node`, `ids` and `set`.
 */
export function makeSelect({
  groups,
  initial = [],
  multi,
  most,
  placeholder,
  attributes,
  label,
  onchange,
}) {
  const chosen = new Set(initial);
  const value = el("span", { class: "select-value" });
  const trigger = el(
    "button",
    {
      type: "button",
      class: "select-trigger",
      "aria-haspopup": "listbox",
      "aria-expanded": "false",
      onclick: () => toggle(),
      ...attributes,
    },
    value,
    icon("chevron-down"),
  );
  const chips = el("span", { class: "chips" });
  const node = el("div", { class: `select${multi ? " select-multi" : ""}` }, chips, trigger);
  const all = () => groups().flatMap((group) => group.items);

  function draw() {
    const items = all().filter((item) => chosen.has(item.id));
    const single = multi ? null : (items[0] ?? null);
    value.replaceChildren(single ? single.label : (placeholder ?? "Select an option"));
    value.classList.toggle("is-placeholder", !single);
    trigger.setAttribute(
      "aria-label",
      [label, single?.label ?? placeholder].filter(Boolean).join(": "),
    );
    chips.replaceChildren(...(multi ? items.map(chip) : []));
  }

  function chip(item) {
    const remove = () => {
      chosen.delete(item.id);
      changed();
      trigger.focus();
    };
    return el(
      "span",
      { class: "chip" },
      item.label,
      iconButton("close", `Remove ${item.label}`, remove),
    );
  }

  function changed() {
    draw();
    onchange?.();
  }

  function pick(item) {
    if (!multi) {
      chosen.clear();
      chosen.add(item.id);
      closePopup();
    } else if (chosen.has(item.id)) chosen.delete(item.id);
    else if (chosen.size < (most ?? Infinity)) chosen.add(item.id);
    changed();
  }

  function toggle() {
    if (isOpen(trigger)) return closePopup();
    const list = makeList({ groups: groups(), chosen, multi, pick, label: label ?? placeholder });
    list.node.style.minWidth = `${Math.max(220, node.offsetWidth)}px`;
    openPopup(trigger, list.node);
    return list.focus();
  }

  draw();
  return {
    node,
    trigger,
    ids: () => [...chosen],
    set(ids) {
      chosen.clear();
      for (const id of ids) chosen.add(id);
      draw();
    },
  };
}

/** Makes the list itself: options with a filter, used with the keyboard or the mouse. */
export function makeList({
  groups,
  chosen = new Set(),
  multi,
  pick,
  label,
  placeholder = "Search",
}) {
  const listId = uniqueId("listbox");
  const filter = el("input", {
    type: "text",
    class: "list-filter",
    role: "combobox",
    placeholder,
    "aria-label": label,
    "aria-expanded": "true",
    "aria-controls": listId,
    autocomplete: "off",
    spellcheck: "false",
  });
  const box = el("div", {
    id: listId,
    class: "listbox",
    role: "listbox",
    "aria-label": label,
    "aria-multiselectable": multi ? "true" : null,
  });
  const total = groups.reduce((count, group) => count + group.items.length, 0);
  if (total < FILTER_FROM) filter.classList.add("visually-hidden");
  let options = [];
  let active = -1;

  function draw() {
    const needle = filter.value.trim().toLowerCase();
    options = [];
    box.replaceChildren(...groups.flatMap((group) => drawGroup(group, needle)));
    if (!options.length) box.append(el("div", { class: "list-empty" }, "No results"));
    const first = options.findIndex(({ item }) => chosen.has(item.id));
    activate(Math.max(0, first));
  }

  function drawGroup(group, needle) {
    const items = group.items.filter((item) =>
      `${item.label} ${item.hint ?? ""}`.toLowerCase().includes(needle),
    );
    if (!items.length) return [];
    const rows = items.map(drawOption);
    if (!group.label) return rows;
    const heading = el("div", { class: "menu-heading", role: "presentation" }, group.label);
    return [el("div", { role: "group", "aria-label": group.label }, heading, rows)];
  }

  function drawOption(item) {
    const index = options.length;
    const selected = chosen.has(item.id);
    const node = el(
      "div",
      {
        id: uniqueId("option"),
        role: "option",
        class: "option",
        "aria-selected": String(selected),
        onpointerdown: (event) => event.preventDefault(), // the focus stays in the filter
        onclick: () => choose(index),
        onpointermove: () => activate(index),
      },
      item.lead ?? null,
      el(
        "span",
        { class: "menu-text" },
        el("span", {}, item.label),
        item.hint ? el("span", { class: "menu-hint" }, item.hint) : null,
      ),
      selected ? icon("check") : null,
    );
    options.push({ item, node });
    return node;
  }

  function activate(index) {
    if (index === active && options[active]?.node.classList.contains("is-active")) return;
    options[active]?.node.classList.remove("is-active");
    active = options.length ? (index + options.length) % options.length : -1;
    const node = options[active]?.node;
    node?.classList.add("is-active");
    node?.scrollIntoView({ block: "nearest" });
    if (node) filter.setAttribute("aria-activedescendant", node.id);
    else filter.removeAttribute("aria-activedescendant");
  }

  function choose(index) {
    const chosenOption = options[index];
    if (!chosenOption) return;
    pick(chosenOption.item);
    if (!multi || !box.isConnected) return;
    draw();
    activate(index);
  }

  filter.addEventListener("input", draw);
  filter.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) activate(active + step);
    else if (event.key === "Enter") choose(active);
    else if (event.key === "Tab") return closePopup();
    else return undefined;
    return event.preventDefault();
  });
  draw();
  return {
    node: el("div", { class: "list" }, filter, box),
    focus: () => filter.focus({ preventScroll: true }),
  };
}
