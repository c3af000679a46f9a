// Starts the page.

import { get } from "./api.js";
import { jump } from "./browse.js";
import { el, icon, iconButton } from "./dom.js";
import { startLive } from "./live.js";
import { fromAddress, openChannel, openFromAddress, openThread, personFromAddress } from "./nav.js";
import { startPanels } from "./panels.js";
import { startRoom } from "./room.js";
import { startSidebar } from "./sidebar.js";
import { keep, on, refreshState, store } from "./store.js";
import { startThread } from "./thread.js";
import { orToast } from "./toast.js";

const part = (id) => document.getElementById(id);

function topbar() {
  const menu = iconButton(
    "menu",
    "Channels and people",
    () => document.body.classList.toggle("show-sidebar"),
    {
      class: "icon-button menu-button",
    },
  );
  const search = el(
    "button",
    { type: "button", class: "search", onclick: jump },
    icon("search"),
    el("span", {}, `Search ${store.team.name}`),
    el("kbd", {}, "Ctrl K"),
  );
  const note = el(
    "span",
    { class: "practice-note" },
    "Practice workspace on this computer",
  );
  part("topbar").replaceChildren(menu, search, note);
}

function delegate() {
  document.addEventListener("click", (event) => {
    const channel = event.target.closest("[data-open-channel]");
    if (channel) orToast(openChannel(channel.dataset.openChannel));
    const thread = event.target.closest("[data-open-thread]");
    if (thread) {
      const id = thread.closest("[data-channel-id]").dataset.channelId;
      orToast(openThread(id, thread.dataset.openThread));
    }
    if (!event.target.closest("#sidebar, .menu-button, .popup"))
      document.body.classList.remove("show-sidebar");
  });
  document.addEventListener("keydown", (event) => {
    const wanted = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k";
    if (!wanted || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    jump();
  });
}

async function begin() {
  const { as, at } = fromAddress();
  keep(await get("/practice/state"));
  if (as) store.me = personFromAddress(as) ?? store.me;
  startSidebar(part("sidebar"));
  startRoom(part("main"));
  startThread(part("thread"));
  startPanels(part("panels"));
  on("state", topbar);
  delegate();
  await refreshState();
  await openFromAddress(at);
  startLive();
  part("app").removeAttribute("aria-busy");
}

begin().catch((error) => {
  part("main").replaceChildren(
    el("div", { class: "home" }, el("p", { class: "home-empty", role: "alert" }, error.message)),
  );
});
