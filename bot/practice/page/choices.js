// What Block Kit's selects offer, and how a choice is told to the app.

import { el } from "./dom.js";
import { avatar } from "./people.js";
import { channelName, store } from "./store.js";

/** Gives a select's groups, its initial ids, and the ways between ids and Slack's values. */
export function choicesOf(element) {
  const multi = element.type.startsWith("multi_");
  const kind = element.type.replace(/^multi_/, "").replace(/_select$/, "");
  const source = SOURCES[kind] ?? SOURCES.static;
  return { multi, ...source(element, multi) };
}

const SOURCES = { static: options, external: options, users, conversations, channels };

function options(element, multi) {
  const groups = element.option_groups ?? [{ options: element.options ?? [] }];
  const all = groups.flatMap((group) => group.options);
  const shown = groups.map((group) => ({
    label: group.label?.text,
    items: group.options.map((option) => ({
      id: option.value,
      label: option.text.text,
      hint: option.description?.text,
    })),
  }));
  const first = multi ? element.initial_options : [element.initial_option];
  return {
    placeholder: multi ? "Select options" : "Select an option",
    groups: () => shown,
    initial: (first ?? []).filter(Boolean).map((option) => option.value),
    read: (ids) => {
      const chosen = all.filter((option) => ids.includes(option.value));
      return multi ? { selected_options: chosen } : { selected_option: chosen[0] ?? null };
    },
    ids: (value) =>
      (multi ? value.selected_options : [value.selected_option])
        .filter(Boolean)
        .map((o) => o.value),
  };
}

function users(element, multi) {
  const items = () =>
    [...store.people.values()]
      .filter((person) => !person.deleted)
      .map((person) => ({
        id: person.id,
        label: person.real_name,
        hint: person.title,
        lead: avatar(person, "tiny"),
      }));
  const placeholder = multi ? "Select people" : "Select a person";
  return named(element, multi, { name: "user", items, placeholder });
}

function channels(element, multi) {
  const items = () => rooms((channel) => !channel.is_im && !channel.is_private);
  return named(element, multi, { name: "channel", items, placeholder: "Select a channel" });
}

function conversations(element, multi) {
  const included = element.filter?.include ?? ["public", "private", "im", "mpim"];
  const items = () => rooms((channel) => included.includes(kindOf(channel)));
  return named(element, multi, {
    name: "conversation",
    items,
    placeholder: "Select a conversation",
  });
}

function kindOf(channel) {
  if (channel.is_im) return "im";
  if (channel.is_mpim) return "mpim";
  return channel.is_private ? "private" : "public";
}

function rooms(wanted) {
  return [...store.channels.values()]
    .filter((c) => wanted(c) && !c.is_archived)
    .map((channel) => ({
      id: channel.id,
      label: channelName(channel),
      lead: el("span", { class: "option-mark" }, channel.is_im ? "@" : "#"),
    }));
}

function named(element, multi, { name, items, placeholder }) {
  const key = multi ? `selected_${name}s` : `selected_${name}`;
  const initial = multi ? element[`initial_${name}s`] : [element[`initial_${name}`]];
  return {
    placeholder,
    groups: () => [{ items: items() }],
    initial: (initial ?? []).filter(Boolean),
    read: (ids) => ({ [key]: multi ? ids : (ids[0] ?? null) }),
    ids: (value) => (multi ? value[key] : [value[key]]).filter(Boolean),
  };
}
