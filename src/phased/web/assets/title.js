// The state of the page in its title and icon, for who looks at another tab.
// Knows the phases that the page shows. Must not know what they are of.
import { signOf } from "./phases.js";

const COLOURS = { running: "#1d6fd8", failed: "#c62828", succeeded: "#2e7d32", stopped: "#6b6b6b", stale: "#8a6d00" };
const SHAPES = {
  running: "<path d='M10 7l15 9-15 9z' fill='#fff'/>",
  failed: "<path d='M10 10l12 12M22 10L10 22' stroke='#fff' stroke-width='4'/>",
  succeeded: "<path d='M8 17l6 6 11-13' stroke='#fff' stroke-width='4' fill='none'/>",
  stopped: "<path d='M10 10h12v12H10z' fill='#fff'/>",
  stale: "<path d='M16 7v12M16 22v4' stroke='#fff' stroke-width='4'/>",
};
const FRAMES = { failed: "<rect width='32' height='32' fill='C'/>", stale: "<path d='M16 0l16 30H0z' fill='C'/>" };
const ROUND = "<circle cx='16' cy='16' r='16' fill='C'/>";

const base = document.title;
const told = document.createElement("p"); // for those who do not see the colours
told.className = "sr";
told.setAttribute("aria-live", "polite");
document.body.append(told);
let shown = "";
let live = true;

export function setLive(now) {
  live = now;
  showState();
}

export function showState() {
  const state = live ? stateOf() : "stale";
  if (state === shown) return;
  if (shown && state !== "idle") told.textContent = `${state}: ${base}`;
  shown = state;
  document.title = state === "idle" ? base : `${state === "stale" ? "!" : signOf(state)} ${state} – ${base}`;
  document.documentElement.dataset.state = state;
  showIcon(state);
}

// That of the page's own thing; else the worst that moves: what runs, then what failed. A service that runs is as it
// should be, and `data-quiet` is no news: how the environment stands, what ended long ago.
function stateOf() {
  const own = document.querySelector("[data-page]")?.dataset.phase;
  if (own) return simple(own);
  const states = new Set();
  for (const element of document.querySelectorAll("main [data-phase]:not([data-quiet])")) {
    const { phase, service } = element.dataset;
    states.add(service && phase === "running" ? "idle" : simple(phase));
  }
  return ["running", "failed", "succeeded"].find((state) => states.has(state)) ?? "idle";
}

function simple(phase) {
  if (["pending", "starting", "running", "stopping"].includes(phase)) return "running";
  return phase in COLOURS ? phase : "idle";
}

function showIcon(state) {
  const icon = document.getElementById("icon");
  if (!icon) return;
  icon.dataset.own ??= icon.href;
  if (!(state in COLOURS)) {
    icon.href = icon.dataset.own;
    return;
  }
  const frame = (FRAMES[state] ?? ROUND).replace("C", COLOURS[state]);
  const picture = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'>${frame}${SHAPES[state]}</svg>`;
  icon.href = `data:image/svg+xml,${encodeURIComponent(picture)}`;
}
