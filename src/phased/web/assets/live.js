// Keeps every page as it is now. A change of a phase is shown in the next frame, where it stands; for what has
// another structure the page is fetched anew, soon, but rarely where much happens, and its regions are changed to it.
// Knows attributes: data-execution, data-step, data-service (whose phase an element shows), data-live (the name of a
// region), and of any element: data-refresh="status" (any status changes its regions), data-only (only what happens
// to this resource does), data-only-environment. Must not know what a page is of.
import { feed } from "./feed.js";
import { breath, morph } from "./morph.js";
import { showPhase, wordOf } from "./phases.js";
import { local, localize, tick } from "./time.js";
import { setLive, showState } from "./title.js";

const PAUSE = 1_000; // milliseconds between two refetches, or ten times as long as one took
const PAUSE_SHORT = 50; // or three times, as long as there were few of late
const FEW = 30; // refetches at once; two more a second
const PAUSE_HIDDEN = 10_000;
const PART = 250_000; // characters of a page that are read between two frames

let index = null; // "step:ID" -> elements
let wished = null;
let during = null; // changes that came while the page was fetched
let planned = false;
let again = false; // something changed while the page was fetched: it may be older than that
let pause = 0;
let left = FEW;
let ended = 0; // when the last refetch did

feed.on("changes", (changes) => {
  const ours = changes.filter(concerns);
  during?.push(...ours);
  const wanted = ours.some(changesRegions);
  if (apply(ours)) showState();
  if (wanted) plan();
});
feed.on("gap", plan);
feed.on("state", (state) => {
  document.body.dataset.feed = state.kind;
  setLive(state.kind === "live");
  tellState(state);
});

showState();

// What the page says of itself; the same until its regions change.
function wishes() {
  wished ??= {
    environment: document.querySelector("[data-only-environment]")?.dataset.onlyEnvironment,
    only: document.querySelector("[data-only]")?.dataset.only,
    always: document.querySelector("[data-refresh=status]") !== null,
    own: document.querySelector("[data-page]"),
  };
  return wished;
}

function concerns(change) {
  const { environment } = wishes();
  return !environment || !change.environmentId || change.environmentId === environment;
}

function changesRegions(change) {
  const { only, always, own } = wishes();
  if (only && only !== change.resourceId) return false;
  if (always) return true;
  if (change.operation !== "RESOURCE_OPERATION_UPDATE_STATUS") return true;
  // of a page that is of one thing: when that itself moves on
  return only && own?.dataset.execution === only && change.status && own.dataset.phase !== wordOf(change.status.phase);
}

// ---- phases where they stand ---------------------------------------------------------------------------

function apply(changes) {
  let changed = false;
  for (const change of changes) {
    if (!change.status) continue;
    if (change.resourceType === "RESOURCE_TYPE_SERVICE") {
      changed = show(`service:${change.resourceId}`, change.status.phase) || changed;
      continue;
    }
    changed = show(`execution:${change.resourceId}`, change.status.phase) || changed;
    for (const step of change.status.steps ?? []) changed = show(`step:${step.id}`, step.phase) || changed;
  }
  return changed;
}

function show(key, phase) {
  index ??= indexed();
  let changed = false;
  for (const element of index.get(key) ?? []) changed = showPhase(element, wordOf(phase)) || changed;
  return changed;
}

function indexed() {
  const found = new Map();
  for (const element of document.querySelectorAll("[data-phase]")) {
    const key = keyOf(element);
    if (key) found.set(key, [...(found.get(key) ?? []), element]);
  }
  return found;
}

function keyOf({ dataset: { step, service, execution } }) {
  return step ? `step:${step}` : service ? `service:${service}` : execution ? `execution:${execution}` : "";
}

// ---- regions -------------------------------------------------------------------------------------------

export function refresh() {
  plan();
}

function plan() {
  again = during !== null;
  if (planned) return;
  planned = true;
  setTimeout(fetchPage, document.hidden ? PAUSE_HIDDEN : pause);
}

async function fetchPage() {
  const began = performance.now();
  left = Math.min(FEW, left + (2 * (began - ended)) / 1000) - 1;
  during = [];
  try {
    const page = await fetched();
    if (page) await replace(page);
  } finally {
    ended = performance.now();
    pause = left >= 1 ? Math.max(PAUSE_SHORT, 3 * (ended - began)) : Math.max(PAUSE, 10 * (ended - began));
    planned = false;
    during = null;
    if (again) plan();
    else setTimeout(() => !planned && (pause = 0), pause);
  }
}

async function fetched() {
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (response.ok) return await parsed(await response.text());
    if (response.status === 401) tellState({ kind: "ended" });
    again ||= response.status >= 500;
  } catch {
    again = true; // the daemon is away: the feed says so
  }
  return null;
}

// A page of a thousand steps is a megabyte: read at once it would hold up frames. No script of it runs.
async function parsed(text) {
  const page = document.implementation.createHTMLDocument("");
  page.open();
  for (let at = 0; at < text.length; at += PART) {
    page.write(text.slice(at, at + PART));
    await breath();
  }
  page.close();
  return page;
}

async function replace(page) {
  localize(page);
  tick(page);
  await breath();
  const regions = new Map([...page.querySelectorAll("[data-live]")].map((region) => [region.dataset.live, region]));
  for (const region of document.querySelectorAll("[data-live]")) {
    const fresh = regions.get(region.dataset.live);
    if (fresh) await morph(region, fresh);
  }
  await breath();
  index = wished = null;
  for (const fresh of page.querySelectorAll("main [data-phase]")) show(keyOf(fresh), fresh.dataset.phase); // outside regions
  const since = Number(page.body.dataset.sequence) || 0;
  feed.since = Math.max(feed.since, since);
  apply(during.filter((change) => change.sequence > since));
  await breath();
  showState();
  await breath();
  document.dispatchEvent(new CustomEvent("phased:refreshed"));
}

// ---- what is said --------------------------------------------------------------------------------------

function tellState(state) {
  const place = document.getElementById("live");
  if (!place) return;
  let text = "live";
  if (state.kind === "ended") text = "This session has ended: run `phased web` to open a new one.";
  if (state.kind === "stale") text = `Not live since ${local(new Date(state.since))}, trying again.`;
  if (place.textContent !== text) place.textContent = text;
}
