// Short notices that go away by themselves.

import { post } from "./api.js";
import { el, iconButton } from "./dom.js";
import { store } from "./store.js";

const SHOWN_MS = 7000;

/** Shows a notice above everything else, modals included. */
export function toast(text, { bad = false } = {}) {
  const holder = document.getElementById("toasts");
  const node = el(
    "div",
    { class: `toast${bad ? " toast-bad" : ""}`, "data-testid": "toast" },
    text,
  );
  const remove = () => {
    node.remove();
    if (!holder.childElementCount && holder.matches(":popover-open")) holder.hidePopover();
  };
  node.append(iconButton("close", "Dismiss", remove));
  holder.append(node);
  while (holder.childElementCount > 3) holder.firstElementChild.remove();
  if (holder.matches(":popover-open")) holder.hidePopover();
  holder.showPopover?.();
  setTimeout(remove, SHOWN_MS);
}

/** Does something as the person; a refusal or a failure becomes a notice and gives null. */
export async function act(path, body = {}) {
  try {
    const answer = await post(path, { as: store.me, ...body });
    if (answer.ok !== false || answer.errors) return answer;
    toast(answer.error ?? "That did not work.", { bad: true });
  } catch (error) {
    toast(error.message, { bad: true });
  }
  return null;
}

/** Shows what went wrong in a promise nobody waits for. */
export function orToast(promise) {
  promise.catch((error) => toast(error.message, { bad: true }));
}
