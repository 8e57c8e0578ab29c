// Firings that go on: the feed tells of executions and services, and not how a firing ended.
// Knows `data-firing`. The daemon answers once something of the firing has ended, or after a while.

import { call } from "./acts.js";
import { refresh } from "./live.js";

const PATIENCE = "20s";
const PAUSE = 1000; // milliseconds between two questions at least
const PAUSE_AFTER_ERROR = 5000;

let asking = false;

async function watch() {
  const one = document.querySelector("[data-firing]");
  if (asking || document.hidden || !one) return;
  asking = true;
  let pause = PAUSE;
  try {
    await call("phased.v1.DaemonService/GetFiring", { id: one.dataset.firing, wait: PATIENCE });
    refresh();
  } catch (error) {
    if (error.status === 401) return;
    pause = PAUSE_AFTER_ERROR;
  }
  setTimeout(() => {
    asking = false;
    watch();
  }, pause);
}

document.addEventListener("phased:refreshed", watch);
document.addEventListener("visibilitychange", watch);
watch();
