// Times as Slack shows them, in the person's own time zone.

const DAY = 86_400_000;

/** Gives the moment of a message from its ts. */
export function moment(ts) {
  return new Date(Number.parseFloat(ts) * 1000);
}

/** Shows the time of day: 9:32 AM. */
export function clock(date) {
  return date.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
}

/** Names a day for the line between two days: Today, Yesterday, Monday, June 3rd. */
export function dayName(date) {
  const near = relativeDay(date);
  if (near && near !== "tomorrow") return near[0].toUpperCase() + near.slice(1);
  const weekday = date.toLocaleDateString("en", { weekday: "long" });
  return `${weekday}, ${longDate(date, "long", { withYear: "if-other" })}`;
}

/** Says how long ago a message was: 5 minutes ago. */
export function ago(date) {
  const seconds = Math.max(0, (Date.now() - date.getTime()) / 1000);
  const units = [
    ["day", 86_400],
    ["hour", 3600],
    ["minute", 60],
  ];
  const [unit, length] = units.find(([, size]) => seconds >= size) ?? [null, 1];
  if (unit === null) return "just now";
  const count = Math.floor(seconds / length);
  return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
}

/** Fills Slack's date tokens, such as {date_short_pretty} at {time}. */
export function formatDate(seconds, format) {
  const date = new Date(Number(seconds) * 1000);
  return format.replace(/\{(\w+)\}/g, (token, name) => TOKENS[name]?.(date) ?? token);
}

const TOKENS = {
  date_num: (d) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`,
  date_slash: (d) => `${two(d.getMonth() + 1)}/${two(d.getDate())}/${d.getFullYear()}`,
  date: (d) => longDate(d, "long"),
  date_short: (d) => shortDate(d),
  date_long: (d) => fullDate(d),
  date_pretty: (d) => relativeDay(d) ?? longDate(d, "long"),
  date_short_pretty: (d) => relativeDay(d) ?? shortDate(d),
  date_long_pretty: (d) => relativeDay(d) ?? fullDate(d),
  day_divider_pretty: (d) => dayName(d),
  time: (d) => clock(d),
  time_secs: (d) =>
    d.toLocaleTimeString([], { hour: "numeric", minute: "2-digit", second: "2-digit" }),
  ago: (d) => ago(d),
};

function relativeDay(date) {
  const days = Math.round((midnight(date) - midnight(new Date())) / DAY);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days];
}

function midnight(date) {
  return new Date(date).setHours(0, 0, 0, 0);
}

function shortDate(date) {
  return date.toLocaleDateString("en", { month: "short", day: "numeric", year: "numeric" });
}

function fullDate(date) {
  return `${date.toLocaleDateString("en", { weekday: "long" })}, ${longDate(date, "long")}`;
}

function longDate(date, month, { withYear = "always" } = {}) {
  const name = date.toLocaleDateString("en", { month });
  const year = date.getFullYear();
  const tail = withYear === "always" || year !== new Date().getFullYear() ? `, ${year}` : "";
  return `${name} ${ordinal(date.getDate())}${tail}`;
}

function ordinal(day) {
  const suffix = { 1: "st", 2: "nd", 3: "rd" }[day % 10];
  return `${day}${(Math.floor(day / 10) === 1 ? null : suffix) ?? "th"}`;
}

function two(number) {
  return String(number).padStart(2, "0");
}
