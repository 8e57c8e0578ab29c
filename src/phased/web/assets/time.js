// Moments in the reader's own time, and how long things take.
// Knows <time> and `data-since`. The server writes UTC, and the exact moment as `datetime`.

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const TODAY = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const AGREED = 5000; // milliseconds: less may be the way of the page, and not the clocks

// How far the browser's clock is ahead of the server's, in milliseconds.
const apart = Date.now() - Date.parse(document.documentElement.dataset.now ?? "");
export const skew = Math.abs(apart) > AGREED ? apart : 0;

// `820 ms`, `3.4 s`, `2 m 05 s`, `1 h 02 m`, `3 d 4 h`: as the server spells it (web/rendering.py, lasted).
export function lasted(seconds) {
  const whole = Math.floor(Math.max(seconds, 0));
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 1) return `${Math.round(Math.max(seconds, 0) * 1000)} ms`;
  if (whole < 60) return `${seconds.toFixed(1)} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} m`;
  return `${Math.floor(whole / 86400)} d ${Math.floor(whole / 3600) % 24} h`;
}

// A moment as the reader's clock shows it: the day is left out where it is today.
export function local(moment) {
  return (moment.toDateString() === new Date().toDateString() ? TODAY : DAY).format(moment);
}

// Every <time datetime> below a node.
export function localize(root = document) {
  for (const one of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const moment = new Date(one.dateTime);
    if (Number.isNaN(moment.valueOf())) continue;
    one.textContent = local(moment);
    one.title = one.dateTime;
    one.dataset.local = "";
  }
}

// Elements with data-since (a moment) show how long ago that was, to the second.
export function tick(root = document) {
  const now = Date.now() - skew;
  for (const one of root.querySelectorAll("[data-since]")) {
    const whole = Math.max(Math.floor((now - Date.parse(one.dataset.since)) / 1000), 0);
    const text = whole < 60 ? `${whole} s` : lasted(whole);
    if (one.textContent !== text) one.textContent = text;
  }
}
