// The app's Home tab.

import { renderBlocks } from "./blocks.js";
import { el } from "./dom.js";
import { readValues } from "./elements.js";
import { viewSurface } from "./surfaces.js";

/** Renders what the Home tab shows the person; what was typed there before stays. */
export function renderHome(place) {
  if (!place.view) {
    const text = place.asked ? "Opening…" : "This app has nothing on its Home tab yet.";
    return el("div", { class: "home" }, el("p", { class: "home-empty" }, text));
  }
  const before = document.querySelector(".home");
  const earlier = before ? readValues(before) : {};
  const node = el("div", { class: "home", "data-view-id": place.view.id });
  const surface = viewSurface(place.view, () => node, earlier);
  node.append(el("div", { class: "home-inner" }, renderBlocks(place.view.blocks, surface)));
  return node;
}
