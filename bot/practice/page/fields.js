// Fields to type into: text, numbers, dates and times.

import { el } from "./dom.js";

/** Gives the function that makes a typed field, or null for another kind of element. */
export function fieldMaker(element) {
  const make = MAKERS[element.type];
  return make ? (attributes) => make(element, attributes) : null;
}

const MAKERS = {
  plain_text_input: (e, a) => text(e, a, e.multiline ? "textarea" : "text"),
  email_text_input: (e, a) => text(e, a, "email"),
  url_text_input: (e, a) => text(e, a, "url"),
  number_input: number,
  rich_text_input: richText,
  datepicker: (e, a) =>
    picker(e, a, { type: "date", key: "selected_date", initial: e.initial_date }),
  timepicker: (e, a) =>
    picker(e, a, { type: "time", key: "selected_time", initial: e.initial_time }),
  datetimepicker: dateTime,
};

function control(element, attributes, type, more = {}) {
  const area = type === "textarea";
  const node = el(area ? "textarea" : "input", {
    type: area ? null : type,
    rows: area ? 4 : null,
    class: "field",
    placeholder: element.placeholder?.text,
    autofocus: element.focus_on_load,
    ...attributes,
    ...more,
  });
  return node;
}

function valueOf(node, key) {
  return {
    node,
    control: node,
    read: () => ({ [key]: node.value === "" ? null : node.value }),
    write: (value) => {
      node.value = value[key] ?? "";
    },
  };
}

function text(element, attributes, type) {
  const node = control(element, attributes, type, { maxlength: element.max_length });
  node.value = element.initial_value ?? "";
  return valueOf(node, "value");
}

function number(element, attributes) {
  const node = control(element, attributes, "text", {
    inputmode: element.is_decimal_allowed ? "decimal" : "numeric",
  });
  node.value = element.initial_value ?? "";
  return valueOf(node, "value");
}

function picker(element, attributes, { type, key, initial }) {
  const node = control(element, attributes, type);
  node.classList.add("field-picker");
  node.value = initial ?? "";
  return valueOf(node, key);
}

function dateTime(element, attributes) {
  const node = control(element, attributes, "datetime-local");
  node.classList.add("field-picker");
  const show = (seconds) => {
    node.value = seconds ? local(new Date(seconds * 1000)) : "";
  };
  show(element.initial_date_time);
  return {
    node,
    control: node,
    read: () => ({
      selected_date_time: node.value ? Math.floor(new Date(node.value).getTime() / 1000) : null,
    }),
    write: (value) => show(value.selected_date_time),
  };
}

function local(date) {
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

function richText(element, attributes) {
  const node = control(element, attributes, "textarea");
  const section = (words) => ({
    type: "rich_text",
    elements: [{ type: "rich_text_section", elements: [{ type: "text", text: words }] }],
  });
  const words = (value) =>
    (value?.elements ?? [])
      .flatMap((p) => p.elements ?? [])
      .map((e) => e.text ?? "")
      .join("");
  node.value = words(element.initial_value);
  return {
    node,
    control: node,
    read: () => ({ rich_text_value: node.value ? section(node.value) : null }),
    write: (value) => {
      node.value = words(value.rich_text_value);
    },
  };
}
