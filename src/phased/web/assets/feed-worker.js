// One event stream for all tabs of a browser: it allows few connections to a host.
// Knows the stream and ports. Must not know pages.
import { EventReader } from "./stream.js";

const KEPT = 2_000; // events, for pages that come later than they were rendered
const GRACE = 5_000; // milliseconds without a page, as between two pages of one tab

const ports = new Set();
let recent = [];
let base = null; // events after this id are all in `recent`

const reader = new EventReader("/web/events", (message) => {
  if (message.kind === "events") keep(message.events);
  for (const port of ports) port.postMessage(message);
});

function keep(events) {
  for (const event of events) {
    if (event.name === "gap") {
      recent = [];
      base = event.id;
    } else {
      recent.push(event);
    }
  }
  if (recent.length > KEPT) {
    const gone = recent.splice(0, recent.length - KEPT);
    base = gone.at(-1).id;
  }
}

function greet(port, since) {
  ports.add(port);
  if (!reader.running) {
    for (const other of ports) {
      // their session had ended, and a new one begins: they have missed what came between
      if (other !== port) other.postMessage({ kind: "events", events: [{ name: "gap", id: since, data: null }] });
    }
    base = since;
    recent = [];
    reader.last = since;
    reader.start(since);
    return;
  }
  port.postMessage(reader.state);
  const events = since < base ? [{ name: "gap", id: base, data: null }] : recent.filter((event) => event.id > since);
  if (events.length) port.postMessage({ kind: "events", events });
}

self.addEventListener("connect", ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    if (data.kind === "hello") greet(port, data.since);
    else if (data.kind === "check") reader.check();
    else if (data.kind === "bye") ports.delete(port);
    if (ports.size === 0) setTimeout(() => ports.size === 0 && reader.stop(), GRACE);
  };
});
