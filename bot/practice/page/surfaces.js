// Where blocks stand: in a message or in a view. A surface sends what the person does there.

import { readValues } from "./elements.js";
import { act } from "./toast.js";

/** Makes the surface of a message; `root()` gives its node, `earlier` what was filled in there. */
export function messageSurface(message, root, earlier = {}) {
  const container = { type: "message", channel: message.channel, ts: message.ts };
  return surface(container, root, earlier);
}

/** Makes the surface of a view; `touched(block)` hears that the person changed a field. */
export function viewSurface(view, root, earlier = {}, touched = null) {
  const held = { ...view.state?.values, ...earlier };
  return { ...surface({ type: "view", view_id: view.id }, root, held), touched };
}

function surface(container, root, earlier) {
  return {
    value: (block, element) => earlier[block.block_id]?.[element.action_id],
    send: (action) =>
      act("/practice/actions", { container, action, state: { values: readValues(root()) } }),
  };
}
