// The time line of an execution as it goes on: bars begin, grow and end by the changes that the feed tells.
// Knows ol[data-course] (templates/execution.html); moments come with each change as its status version, in
// microseconds. Must not know phases' looks: live.js changes those.
import { feed } from "./feed.js";
import { wordOf } from "./phases.js";
import { lasted } from "./time.js";

const WIDE = 1000;
const ENDED = new Set(["succeeded", "failed", "stopped"]);
const BEFORE = new Set(["waiting", "pending"]);

let rows = null;
let ahead = null; // milliseconds by which the daemon's clock is before this one; the quickest news tells best

feed.on("changes", (changes) => {
  const list = course();
  if (!list) return;
  for (const change of changes) {
    if (change.resourceId === list.dataset.course && change.status) note(list, change);
  }
});
document.addEventListener("phased:refreshed", () => {
  rows = null;
  draw();
});
setInterval(() => !document.hidden && !course()?.dataset.end && draw(), 500);

function course() {
  return document.querySelector("ol[data-course]");
}

function note(list, { status }) {
  const at = new Date(Number(status.statusVersion) / 1000);
  ahead = Math.max(ahead ?? -Infinity, at.getTime() - Date.now());
  rows ??= new Map([...list.children].map((row) => [row.dataset.step, row]));
  for (const step of status.steps ?? []) {
    const row = rows.get(step.id);
    const word = wordOf(step.phase);
    if (!row || BEFORE.has(word)) continue;
    row.dataset.begun ??= at.toISOString();
    if (ENDED.has(word)) row.dataset.ended ??= at.toISOString();
  }
  if (ENDED.has(wordOf(status.phase))) list.dataset.end = at.toISOString();
}

function draw() {
  const list = course();
  if (!list) return;
  const begin = Date.parse(list.dataset.begin);
  const now = list.dataset.end ? Date.parse(list.dataset.end) : Date.now() + (ahead ?? 0);
  const whole = list.dataset.end ? Math.max(now - begin, 1) : rounded(Math.max(now - begin, 1));
  const place = (moment) => Math.min(Math.max((moment - begin) / whole, 0), 1) * WIDE;
  for (const row of list.children) {
    const begun = Date.parse(row.dataset.begun);
    if (Number.isNaN(begun)) continue;
    const ended = row.dataset.ended ? Date.parse(row.dataset.ended) : now;
    const bar = row.querySelector(".ran");
    const x = Math.min(place(begun), WIDE - 2);
    set(bar, "x", Math.round(x));
    set(bar, "width", Math.round(Math.max(place(ended) - x, 2)));
    say(row.querySelector(".took"), lasted((ended - begun) / 1000));
  }
  drawTicks(list, whole);
}

// Somewhat more, so that most bars stay as they are while time goes on.
function rounded(whole) {
  const step = 10 ** Math.floor(Math.log10(whole)) / 4;
  return Math.ceil(whole / step) * step;
}

function drawTicks(list, whole) {
  const ticks = list.parentElement.querySelectorAll(".ticks span");
  ticks.forEach((tick, part) => say(tick, part ? lasted((whole * part) / 4 / 1000) : "0"));
}

function set(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
