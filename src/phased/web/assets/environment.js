// The page of an environment: finding a card among many.
// Knows the page's own elements. What it hides is hidden again after the page was brought up to date.

import { refresh } from "./live.js";

const MANY = 12;

function narrow() {
  const field = document.getElementById("filter");
  if (!field) return;
  const cards = [...document.querySelectorAll(".card[data-name]")];
  field.closest(".filter").hidden = cards.length <= MANY && !field.value;
  const wanted = field.value.trim().toLowerCase();
  let shown = 0;
  for (const card of cards) {
    card.hidden = !card.dataset.name.toLowerCase().includes(wanted);
    shown += card.hidden ? 0 : 1;
  }
  document.getElementById("found").textContent = wanted ? `${shown} of ${cards.length}` : "";
}

document.addEventListener("input", (event) => event.target.id === "filter" && narrow());
document.addEventListener("phased:refreshed", narrow);
window.addEventListener("focus", refresh); // nothing tells that the automations file was saved
narrow();
