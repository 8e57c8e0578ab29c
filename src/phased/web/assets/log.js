// The page of a log: its buttons, what the address says, and following what is written.
//
// Knows the page's elements, the API's DescribeLogs, and the window onto the lines. What is written is asked for
// again and again while somebody looks, a few bytes at a time; nothing is held open meanwhile.

import { call } from "./acts.js";
import { Segment, Source } from "./log-source.js";
import { Search } from "./log-search.js";
import { LogView } from "./log-view.js";

const PAUSE = 500; // milliseconds between two looks
const LONGEST_PAUSE = 5000; // while the daemon does not answer
const ERRORS = String.raw`(?<!\b(?:0|no|without) )\b(?:\w*errors?|fail(?:ed|ure|ures)?|\w*exception|traceback|panic(?:ked)?|fatal|aborted|segmentation fault|cannot|unable to)\b`;
const LIKE_ERRORS = "error|fail|exception|traceback|panic|fatal|aborted|segmentation fault|cannot|unable to";
const MORE_DIGITS = new Intl.NumberFormat();

const root = document.querySelector("[data-log]");
const part = (name) => root.querySelector(`[data-log-${name}]`);
const { logs: address, executionLog: execution, serviceLog: service, step } = root.dataset;
const scroller = part("view");

let source = new Source([], fetchRange);
let view = null;
let search = null;
let following = false;
let ended = false;
let timer = 0;
let trouble = 0;
let looking = false;

// ---- the daemon -----------------------------------------------------------------------------------

async function describe() {
  if (root.dataset.described) return described(takeDescribed());
  const about = execution ? { taskExecutionId: execution } : { serviceId: service };
  return described(await call("phased.v1.DaemonService/DescribeLogs", about));
}

/** What came with the page, so that the first look needs no question. */
function takeDescribed() {
  const told = JSON.parse(root.dataset.described);
  delete root.dataset.described;
  return told;
}

function described(told) {
  const all = told.logs ?? [];
  const shown = step ? all.filter((one) => one.id === step || one.label === step) : all;
  return { ended: told.ended ?? false, logs: shown };
}

async function fetchRange(url, begin, end) {
  const answer = await fetch(url, { headers: { range: `bytes=${begin}-${end - 1}` } });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(told.message ?? `The daemon answered ${answer.status}.`), { status: answer.status });
  }
  return new Uint8Array(await answer.arrayBuffer());
}

// ---- what there is to show ---------------------------------------------------------------------------

const urlOf = ({ id, label }) => `${address}?step=${encodeURIComponent(execution ? id : label)}`;

function segmentOf(log) {
  const facts = { id: log.id, label: log.label, phase: log.phase, url: urlOf(log) };
  return new Segment({ ...facts, size: Number(log.size ?? 0), first: Number(log.firstByte ?? 0) });
}

function isAnother(logs) {
  if (logs.length !== source.segments.length) return true;
  return logs.some((log, at) => log.id !== source.segments[at].id || Number(log.size ?? 0) < source.segments[at].size);
}

/** Take over what the daemon says; whether something is to be drawn anew. */
function update(logs, now) {
  let changed = false;
  for (const [at, log] of logs.entries()) {
    const segment = source.segments[at];
    if (segment.phase !== log.phase) changed = true;
    segment.phase = log.phase;
    if (source.resize(at, Number(log.size ?? 0), Number(log.firstByte ?? 0), now)) changed = true;
  }
  return changed;
}

async function start(told) {
  search?.cancel();
  view?.close();
  source = new Source(told.logs.map(segmentOf), fetchRange, { headings: told.logs.length > 1 });
  view = new LogView(scroller, source, { decorate, moved, failed });
  search = new Search(source, view, { say, progress });
  view.setWrap(isOn("wrap"));
  const wanted = addressed();
  setFollowing(!told.ended && !wanted);
  await view.open(following ? "end" : null);
  if (wanted) await go();
  describeAll();
}

async function look() {
  if (looking) return;
  looking = true;
  clearTimeout(timer);
  try {
    const told = await describe();
    const ends = told.ended && !ended;
    ended = told.ended;
    if (!view || isAnother(told.logs)) await start(told);
    else if (update(told.logs, Date.now()) || ends) {
      await view.refresh({ stick: following });
      describeAll();
    }
    if (ends) setFollowing(false);
    if (trouble) say("");
    trouble = 0;
    root.dataset.logState = ended ? "ended" : "live";
  } catch (error) {
    failed(error);
  }
  looking = false;
  part("follow").disabled = ended;
  if (!ended && trouble >= 0) timer = setTimeout(again, Math.min(PAUSE * 2 ** trouble, LONGEST_PAUSE));
}

function again() {
  if (document.hidden) timer = setTimeout(again, LONGEST_PAUSE);
  else look();
}

function failed(error) {
  console.info("the log cannot be read now:", error.message);
  root.dataset.logState = "stale";
  const forGood = [401, 403, 404].includes(error.status);
  trouble = forGood ? -1 : Math.max(trouble, 0) + 1;
  say(forGood ? error.message : `Not live: ${error.message} Trying again.`);
}

// ---- what is said ------------------------------------------------------------------------------------

function say(text) {
  const place = part("said");
  if (place.textContent !== text) place.textContent = text;
}

function progress(share) {
  const bar = part("progress");
  bar.hidden = part("cancel").hidden = share === null;
  if (share !== null) bar.value = share;
}

export function sizeOf(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  const power = Math.min(Math.floor(Math.log10(bytes) / 3), 4);
  return `${(bytes / 1000 ** power).toFixed(1)} ${["", "kB", "MB", "GB", "TB"][power]}`;
}

function describeAll() {
  const { size, segments } = source;
  part("size").textContent = segments.length ? sizeOf(size) : "";
  const dropped = segments.reduce((sum, one) => sum + one.first, 0);
  const note = part("note");
  if (size === 0) note.textContent = ended ? "Nothing was printed." : "Nothing was printed yet.";
  else note.textContent = dropped ? `The first ${sizeOf(dropped)} were dropped: the log grew beyond its budget.` : "";
  note.hidden = !note.textContent;
  part("times").hidden = !segments.some((one) => one.seen.length > 1);
}

function decorate(element, { segment, offset }) {
  const facts = source.segments[segment];
  if (offset < 0) return decorateHeading(element, facts);
  const number = view.numberOf({ segment, offset });
  element.href = `#${new URLSearchParams({ ...(source.headings ? { step: facts.id } : {}), at: offset })}`;
  element.tabIndex = -1;
  element.textContent = number ?? `@${MORE_DIGITS.format(offset)}`;
  element.setAttribute("aria-label", number ? `Line ${number}` : `Byte ${offset}`);
  const time = isOn("times") ? facts.timeOf(offset) : null;
  if (time) element.textContent = `${new Date(time).toLocaleTimeString()} ${element.textContent}`;
  return undefined;
}

function decorateHeading(element, facts) {
  const phase = (facts.phase ?? (ended ? "skipped" : "waiting")).replace("TASK_EXECUTION_PHASE_", "").toLowerCase();
  const link = document.createElement("a");
  const name = document.createElement("bdi");
  name.textContent = facts.label;
  link.href = `?${new URLSearchParams({ step: facts.id })}`;
  link.append(name);
  const state = document.createElement("span");
  state.className = "phase";
  state.dataset.phase = phase;
  state.textContent = phase;
  const size = document.createElement("span");
  size.className = "log-size";
  size.textContent = facts.size ? sizeOf(facts.size - facts.first) : "no output";
  if (facts.first) size.textContent += `, the first ${sizeOf(facts.first)} were dropped`;
  element.setAttribute("role", "heading");
  element.setAttribute("aria-level", "2");
  element.append(link, state, size);
}

// ---- buttons -------------------------------------------------------------------------------------------

const isOn = (name) => part(name).getAttribute("aria-pressed") === "true";

function setOn(name, on) {
  part(name).setAttribute("aria-pressed", String(on));
}

function setFollowing(on) {
  following = on;
  setOn("follow", on);
}

new ResizeObserver(() => following && view?.toEnd().catch(failed)).observe(scroller);

function moved({ byUser, up }) {
  if (!byUser) return;
  if (up && following) setFollowing(false);
  else if (!up && !ended && !following && view.atEnd) setFollowing(true);
}

async function follow() {
  setFollowing(!following);
  if (following) await view.toEnd();
}

function wrap() {
  setOn("wrap", !isOn("wrap"));
  return view.setWrap(isOn("wrap"));
}

function times() {
  setOn("times", !isOn("times"));
  root.classList.toggle("has-times", isOn("times"));
  view.redraw();
}

function find(backward) {
  const text = part("pattern").value;
  setFollowing(false);
  return search.find({ text, regex: isOn("regex"), exact: isOn("case"), backward });
}

async function firstError() {
  setFollowing(false);
  if (await search.run({ source: ERRORS, flags: "gmi", hint: LIKE_ERRORS, from: { segment: 0, offset: 0 } })) return;
  const at = source.segments.findIndex((one) => one.phase?.endsWith("FAILED"));
  if (at < 0) return;
  say("No line looks like an error; this is the end of what failed.");
  await view.toLine({ segment: at, offset: Math.max(source.segments[at].size - 1, 0) });
}

const acts = {
  follow,
  wrap,
  times,
  error: firstError,
  next: () => find(false),
  previous: () => find(true),
  cancel: () => search.cancel(),
  regex: () => setOn("regex", !isOn("regex")),
  case: () => setOn("case", !isOn("case")),
};
const KEYS = { f: "follow", w: "wrap", t: "times", e: "error", n: "next", N: "previous" };

function act(name) {
  if (view) Promise.resolve(acts[name]()).catch(failed);
}

for (const name of Object.keys(acts)) part(name).addEventListener("click", () => act(name));
part("search").addEventListener("submit", (event) => {
  event.preventDefault();
  act("next");
});
scroller.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "/") {
    event.preventDefault();
    part("pattern").focus();
  } else if (KEYS[event.key] && !part(KEYS[event.key]).disabled) act(KEYS[event.key]);
});
part("pattern").addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    act("cancel");
    scroller.focus();
  }
});
part("step")?.addEventListener("change", (event) => event.target.form.requestSubmit());

// ---- the address ---------------------------------------------------------------------------------------

/** The line that the address names, or null. */
function addressed() {
  const named = new URLSearchParams(location.hash.slice(1));
  const offset = Number.parseInt(named.get("at"), 10);
  const segment = Math.max(source.segments.findIndex((one) => one.id === named.get("step")), 0);
  return Number.isNaN(offset) || offset < 0 || !source.segments.length ? null : { segment, offset };
}

async function go() {
  const wanted = addressed();
  if (!view || !wanted) return;
  setFollowing(false);
  view.mark((await view.toLine(wanted)) ?? wanted);
}

addEventListener("hashchange", () => go().catch(failed));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !ended) look();
});

if (matchMedia("(max-width: 44rem)").matches) setOn("wrap", true);
look();
