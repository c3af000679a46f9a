// Block Kit's blocks as nodes.

import { el, icon, link, safeUrl, uniqueId } from "./dom.js";
import { image, renderElement, textObject } from "./elements.js";
import { markdown, richText } from "./richtext.js";

/** Renders blocks on a surface; see `renderElement` for what a surface offers. */
export function renderBlocks(blocks, surface) {
  return el(
    "div",
    { class: "blocks" },
    (blocks ?? []).map((block) => renderBlock(block, surface)),
  );
}

function renderBlock(block, surface) {
  const draw = KINDS[block.type] ?? unknown;
  const node = draw(block, surface);
  node.classList.add("block", `block-${block.type}`);
  if (block.block_id) node.dataset.blockId = block.block_id;
  return node;
}

const KINDS = {
  section,
  header: (block) => el("h3", {}, textObject(block.text)),
  divider: () => el("hr"),
  context: (block) => el("div", {}, block.elements.map(contextElement)),
  actions: (block, surface) =>
    el(
      "div",
      {},
      block.elements.map((e) => renderElement(e, block, surface)),
    ),
  image: imageBlock,
  input: inputBlock,
  rich_text: richText,
  markdown: (block) => markdown(block.text),
  table: tableBlock,
  video: videoBlock,
  file: () => el("div", { class: "unsupported" }, "A remote file"),
};

function unknown(block) {
  return el("div", { class: "unsupported" }, `(a ${block.type} block is not shown here)`);
}

function section(block, surface) {
  const words = block.text ? el("div", { class: "mrkdwn" }, textObject(block.text)) : null;
  const fields = block.fields
    ? el(
        "div",
        { class: "fields" },
        block.fields.map((f) => el("div", { class: "mrkdwn" }, textObject(f))),
      )
    : null;
  const body = el("div", { class: "section-body" }, words, fields);
  if (!block.accessory) return el("div", {}, body);
  const accessory = renderElement(block.accessory, block, surface);
  return el("div", {}, body, el("div", { class: "section-accessory" }, accessory));
}

function contextElement(element) {
  if (element.type === "image") return image(element, "context-image");
  return el("span", { class: "mrkdwn" }, textObject(element));
}

function imageBlock(block) {
  const title = block.title ? el("div", { class: "image-title" }, textObject(block.title)) : null;
  return el("div", {}, title, image(block, "block-image-picture"));
}

function videoBlock(block) {
  const title = link(block.title_url ?? block.video_url, el("b", {}, textObject(block.title)));
  const picture = image(
    { image_url: block.thumbnail_url, alt_text: block.alt_text },
    "block-image-picture",
  );
  return el("div", {}, title, link(block.video_url, picture));
}

function tableBlock(block) {
  const settings = block.column_settings ?? [];
  const row = (cells, tag) =>
    el(
      "tr",
      {},
      cells.map((cell, i) =>
        el(tag, { "data-align": settings[i]?.align ?? "left" }, tableCell(cell)),
      ),
    );
  const [head, ...body] = block.rows;
  const table = el(
    "table",
    { class: "table" },
    el("thead", {}, row(head, "th")),
    el(
      "tbody",
      {},
      body.map((cells) => row(cells, "td")),
    ),
  );
  return el(
    "div",
    { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Table" },
    table,
  );
}

function tableCell(cell) {
  if (cell.type === "rich_text") return richText(cell);
  return String(cell.text ?? cell.value ?? "");
}

function inputBlock(block, surface) {
  const label = block.label?.text ?? "";
  const optional = block.optional ? el("span", { class: "optional" }, " (optional)") : null;
  const control = renderElement(block.element, block, surface, label);
  const hint = block.hint ? el("div", { class: "hint" }, textObject(block.hint)) : null;
  const error = el("div", { class: "field-error", id: uniqueId("error"), hidden: true });
  const heading = el("div", { class: "input-label" }, textObject(block.label), optional);
  return el("div", {}, heading, control, error, hint);
}

/** Shows errors under their fields, clears the others, and gives the first field with one. */
export function showErrors(root, errors) {
  let first = null;
  for (const block of root.querySelectorAll(".block-input")) {
    const text = errors[block.dataset.blockId];
    const error = block.querySelector(".field-error");
    const field = block.querySelector("[data-action-id]");
    error.hidden = !text;
    error.replaceChildren(...(text ? [icon("warning"), text] : []));
    block.classList.toggle("has-error", Boolean(text));
    if (!text) field?.removeAttribute("aria-invalid");
    else {
      field?.setAttribute("aria-invalid", "true");
      field?.setAttribute("aria-describedby", error.id);
      first ??= field;
    }
  }
  return first;
}

/** Renders attachments: blocks or old-style text beside a coloured bar. */
export function renderAttachment(attachment, surface, { bar, old }) {
  const body = attachment.blocks ? renderBlocks(attachment.blocks, surface) : old(attachment);
  const pretext = attachment.pretext ? el("div", { class: "pretext" }, attachment.pretext) : null;
  const thumb = safeUrl(attachment.thumb_url);
  return el(
    "div",
    { class: "attachment-wrap" },
    pretext,
    el(
      "div",
      { class: "attachment", vars: { "--bar": bar } },
      el("div", { class: "attachment-body" }, body),
      thumb ? el("img", { class: "attachment-thumb", src: thumb, alt: "" }) : null,
    ),
  );
}
