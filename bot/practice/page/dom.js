// Building elements. Text from people and apps only ever becomes text nodes; nothing here takes
// markup, so nothing anybody writes can become an element or a script.

const SVG = "http://www.w3.org/2000/svg";
let lastId = 0;

/** Makes an element. `on…` adds a listener, `vars` sets CSS variables, other keys are attributes. */
export function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) assign(node, name, value);
  node.append(...children.flat(4).filter((child) => child !== null && child !== undefined));
  return node;
}

function assign(node, name, value) {
  if (value === undefined || value === null || value === false) return;
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (name === "class") node.className = value;
  else if (name === "vars") setVariables(node, value);
  else node.setAttribute(name, value === true ? "" : String(value));
}

function setVariables(node, variables) {
  for (const [name, value] of Object.entries(variables)) node.style.setProperty(name, value);
}

/** Draws an icon of icons.svg; it says nothing to a screen reader, its button does. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/assets/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** Makes a button that shows an icon and is called `label`. */
export function iconButton(name, label, onclick, props) {
  return el(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props },
    icon(name),
  );
}

/** Gives an id no other element has. */
export function uniqueId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

/** Lets screen readers say something that happened elsewhere on the page. */
export function announce(text) {
  document.getElementById("live").textContent = text;
}

/** Accepts a CSS colour only as hexadecimal digits, with or without "#". */
export function hexColor(value, fallback) {
  const digits = String(value ?? "").replace(/^#/, "");
  return /^([0-9a-f]{3}|[0-9a-f]{6})$/i.test(digits) ? `#${digits}` : fallback;
}

/** Gives the address of a link somebody wrote, or null for any scheme a click must not follow. */
export function safeUrl(value) {
  try {
    const url = new URL(String(value));
    return ["http:", "https:", "mailto:", "tel:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** Makes a link that opens beside this page, or plain text where the address is not safe. */
export function link(url, ...children) {
  const href = safeUrl(url);
  if (href === null) return el("span", {}, ...children);
  return el("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...children);
}
