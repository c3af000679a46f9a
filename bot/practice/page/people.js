// People as they are drawn everywhere: avatars, names, the APP badge.

import { el, hexColor } from "./dom.js";
import { store } from "./store.js";

const COLORS = [
  "#4a6fa5",
  "#7a4988",
  "#2f7d6b",
  "#a4553a",
  "#5a7030",
  "#8a3d5c",
  "#3d6b8a",
  "#7d6a2f",
];

/** Draws an avatar: initials on the person's colour. */
export function avatar(person, size = "") {
  const app = person.is_bot ? " avatar-app" : "";
  return el(
    "span",
    { class: `avatar ${size}${app}`, "aria-hidden": "true", vars: { "--avatar": colorOf(person) } },
    person.initials ?? "?",
  );
}

function colorOf(person) {
  const sum = [...person.id].reduce((total, letter) => total + letter.charCodeAt(0), 0);
  return hexColor(person.color, COLORS[sum % COLORS.length]);
}

/** Draws the badge beside an app's name. */
export function appBadge() {
  return el("span", { class: "badge-app" }, "APP");
}

/** Lists people who can be acted as. */
export function humans() {
  return [...store.people.values()].filter((person) => !person.is_bot && !person.deleted);
}
