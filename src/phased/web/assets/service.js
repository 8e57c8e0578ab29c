// The page of a service: what its processes take, measured anew while somebody looks.
// Knows `data-measured`.

import { refresh } from "./live.js";

const EVERY = 5000; // milliseconds

setInterval(() => {
  if (!document.hidden && document.querySelector("[data-measured]")) refresh();
}, EVERY);
