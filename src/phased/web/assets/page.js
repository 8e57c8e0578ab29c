// What every page does beside being live: times in the reader's own time, times that run, buttons.
// Knows other modules. Holds no state.

import { listen } from "./acts.js";
import { localize, tick } from "./time.js";

localize();
tick();
listen(document);
setInterval(() => {
  if (!document.hidden) tick();
}, 1000);
// A menu closes when something else is done; Escape closes it and leaves the reader where they were.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.removeAttribute("open");
  }
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest?.("details.menu[open]");
  if (!menu) return;
  menu.removeAttribute("open");
  menu.querySelector("summary").focus();
});
document.addEventListener("visibilitychange", () => tick());
