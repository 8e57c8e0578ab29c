// The picture of a plan: lines of a chosen step stand out, arrow keys walk it, a click shows the step beside it.
// Knows [data-plan] (templates/_graph.html) and #panel. Must not know phases: live.js changes those.
import { morph } from "./morph.js";
import { localize, tick } from "./time.js";

const POLL = 2_000; // milliseconds between two looks at a step's processes, while its panel is seen
const panel = document.getElementById("panel");

for (const plan of document.querySelectorAll("[data-plan]")) watch(plan);

// ---- the plan ------------------------------------------------------------------------------------------

function watch(plan) {
  const svg = () => plan.querySelector(".graph");
  let zoom = 1;
  const scale = (to) => {
    zoom = Math.min(Math.max(to, 0.1), 2);
    const { width, height } = svg().viewBox.baseVal;
    svg().setAttribute("width", Math.round(width * zoom));
    svg().setAttribute("height", Math.round(height * zoom));
  };
  const fit = () => {
    const view = plan.querySelector(".plan-window");
    const { width, height } = svg().viewBox.baseVal;
    const room = Math.min(innerHeight * 0.7, Math.max(view.clientHeight, 300));
    scale(Math.min(view.clientWidth / width, room / height, 1));
  };
  const act = { in: () => scale(zoom * 1.25), out: () => scale(zoom / 1.25), fit, full: () => scale(1) };
  plan.addEventListener("click", (event) => act[event.target.closest("[data-zoom]")?.dataset.zoom]?.());
  plan.addEventListener("keydown", (event) => onKey(event, svg(), act));
  const chosen = () => svg().querySelector(".step[aria-current]");
  for (const name of ["pointerover", "focusin"]) {
    plan.addEventListener(name, (event) => mark(svg(), stepOf(event) ?? chosen()));
  }
  for (const name of ["pointerleave", "focusout"]) plan.addEventListener(name, () => mark(svg(), chosen()));
  const settle = () => {
    if (!svg()) return;
    rove(svg(), svg().querySelector(".step[tabindex='0']") ?? svg().querySelector(".step"));
    if (zoom !== 1) scale(zoom);
  };
  document.addEventListener("phased:refreshed", settle);
  settle();
  const wide = plan.querySelector(".plan-window").clientWidth / svg().viewBox.baseVal.width;
  if (wide > 0.6 && wide < 1) scale(wide);
}

function stepOf(event) {
  return event.target.closest?.(".step") ?? null;
}

// The lines that lead to a step and from it, through knots, and what is at their other ends.
function mark(svg, step) {
  for (const element of svg.querySelectorAll(".near")) element.classList.remove("near");
  svg.classList.toggle("chosen", step !== null);
  if (!step) return;
  for (const number of neighbours(svg, step, true).concat(neighbours(svg, step, false))) {
    steps(svg)[number]?.classList.add("near");
  }
}

function neighbours(svg, step, back) {
  const [here, there] = back ? ["to", "from"] : ["from", "to"];
  const found = [];
  const follow = (name) => {
    for (const line of svg.querySelectorAll(`.lines path[data-${here}="${name}"]`)) {
      line.classList.add("near");
      const end = line.dataset[there];
      if (end.startsWith("knot")) follow(end);
      else found.push(Number(end));
    }
  };
  follow(String(steps(svg).indexOf(step)));
  return found;
}

function steps(svg) {
  return [...svg.querySelectorAll(".step")];
}

// One step of the plan is in the order of the tab key; arrow keys go to the others.
function rove(svg, step) {
  for (const one of svg.querySelectorAll(".step")) one.setAttribute("tabindex", one === step ? "0" : "-1");
}

function onKey(event, svg, act) {
  const step = stepOf(event);
  const zoom = { "+": "in", "-": "out", 0: "full", f: "fit" }[event.key];
  if (zoom && !event.ctrlKey && !event.metaKey) act[zoom]();
  if (!step) return;
  const next = nextStep(svg, step, event.key);
  if (!next) return;
  event.preventDefault();
  rove(svg, next);
  next.focus();
  next.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function nextStep(svg, step, key) {
  const all = steps(svg);
  const at = all.indexOf(step);
  const inColumn = (one) => one?.dataset.column === step.dataset.column;
  if (key === "ArrowDown") return inColumn(all[at + 1]) ? all[at + 1] : null;
  if (key === "ArrowUp") return inColumn(all[at - 1]) ? all[at - 1] : null;
  if (key === "ArrowRight") return all[neighbours(svg, step, false)[0]];
  if (key === "ArrowLeft") return all[neighbours(svg, step, true)[0]];
  if (key === "Home") return all[0];
  if (key === "End") return all.at(-1);
  return null;
}

// ---- the panel -----------------------------------------------------------------------------------------

let shown = null; // the address of the step that the panel shows
let from = null; // what had the focus before

if (panel) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href*='/steps/']");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    from = panel.contains(link) ? from : link;
    open(hrefOf(link));
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && shown && close());
  setInterval(() => !document.hidden && shown && look(shown), POLL);
  if (location.hash.startsWith("#step=")) open(`${location.pathname}/steps/${encodeURIComponent(location.hash.slice(6))}`);
}

function hrefOf(link) {
  return link.getAttribute("href");
}

async function open(address) {
  shown = address;
  for (const step of document.querySelectorAll(".graph .step")) {
    if (hrefOf(step) === address) step.setAttribute("aria-current", "true");
    else step.removeAttribute("aria-current");
  }
  history.replaceState(null, "", `#step=${address.split("/").at(-1)}`);
  await look(address);
  panel.querySelector("h2")?.focus();
}

function close() {
  shown = null;
  panel.hidden = true;
  panel.replaceChildren();
  for (const step of document.querySelectorAll(".graph .step[aria-current]")) step.removeAttribute("aria-current");
  history.replaceState(null, "", location.pathname + location.search);
  from?.focus?.();
}

async function look(address) {
  let page;
  try {
    const response = await fetch(address, { headers: { accept: "text/html" }, cache: "no-store" });
    page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (!response.ok) page = wrapped(page);
  } catch {
    return; // the page says that it is not live
  }
  if (shown !== address) return;
  const fresh = page.getElementById("step");
  if (!fresh) return;
  head(fresh);
  localize(fresh);
  tick(fresh);
  const old = panel.querySelector("#step");
  if (old && old.dataset.address === address) morph(old, marked(fresh, address));
  else panel.replaceChildren(closer(), document.importNode(marked(fresh, address), true));
  panel.hidden = false;
  document.dispatchEvent(new CustomEvent("phased:panel"));
}

function marked(fresh, address) {
  fresh.dataset.address = address;
  for (const name of ["data-live", "data-only", "data-refresh"]) fresh.removeAttribute(name);
  for (const own of fresh.querySelectorAll("[data-page]")) own.removeAttribute("data-page");
  return fresh;
}

// The step's page has it as its title; here it stands below that of the execution.
function head(fresh) {
  const title = fresh.querySelector("h1");
  if (!title) return;
  const heading = fresh.ownerDocument.createElement("h2");
  heading.tabIndex = -1;
  heading.append(...title.childNodes);
  title.replaceWith(heading);
}

// What went wrong, in the place of the step.
function wrapped(page) {
  const place = page.createElement("div");
  place.id = "step";
  place.append(...(page.querySelector("main")?.childNodes ?? []));
  page.body.append(place);
  return page;
}

function closer() {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet close";
  button.textContent = "Close";
  button.addEventListener("click", close);
  return button;
}
