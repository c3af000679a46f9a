// What Slack checks in a form before the app hears of it.

const REQUIRED = "Please complete this required field.";

/** Lists faults by block id: required fields left empty, and values of the wrong form. */
export function faults(blocks, values) {
  const found = {};
  for (const block of blocks) {
    if (block.type !== "input") continue;
    const value = values[block.block_id]?.[block.element.action_id];
    const fault = faultOf(block, value);
    if (fault) found[block.block_id] = fault;
  }
  return found;
}

function faultOf(block, value) {
  const filled = contentOf(value);
  if (filled === null) return block.optional ? null : REQUIRED;
  if (typeof filled !== "string") return null;
  return (CHECKS[block.element.type] ?? (() => null))(filled, block.element);
}

function contentOf(value) {
  const held = Object.entries(value ?? {}).find(([key]) => key !== "type");
  const content = held?.[1] ?? null;
  return Array.isArray(content) && content.length === 0 ? null : content;
}

const CHECKS = {
  plain_text_input: (text, { min_length: least = 0, max_length: most = 3000 }) => {
    if (text.length < least) return `This must be at least ${least} characters long.`;
    return text.length > most ? `This must be no more than ${most} characters long.` : null;
  },
  email_text_input: (text) =>
    /^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(text) ? null : "Please enter a valid email address.",
  url_text_input: (text) => (/^https?:\/\/\S+$/.test(text) ? null : "Please enter a valid URL."),
  number_input: (text, { is_decimal_allowed: decimal, min_value: least, max_value: most }) => {
    const number = Number(text);
    if (text.trim() === "" || Number.isNaN(number)) return "Please enter a number.";
    if (!decimal && !Number.isInteger(number)) return "Please enter a whole number.";
    if (least !== undefined && number < Number(least)) return `This must be at least ${least}.`;
    if (most !== undefined && number > Number(most)) return `This must be no more than ${most}.`;
    return null;
  },
};
