// What changes, for the modules of a page: in bunches, once a frame; and whether the page is live at all.
// Knows the worker and the stream. Must not know what is on the page.
//
//   import { feed } from "./feed.js";
//   feed.on("changes", (changes) => ...)   a list of GET /events' data: resourceType, resourceId, status; and its sequence
//   feed.on("gap", () => ...)              something was missed: fetch anew what you show
//   feed.on("state", (state) => ...)       {kind: "live" | "stale" | "ended", since?: milliseconds}
import { EventReader } from "./stream.js";

const MOST_WAITING = 5_000; // changes; a hidden page would collect them for hours

class Feed {
  constructor(since) {
    this.since = since; // what the page shows is as new as this
    this.handlers = { changes: [], gap: [], state: [] };
    this.waiting = [];
    this.missed = false;
    this.planned = false;
    this.connect();
    addEventListener("pagehide", () => this.port?.postMessage({ kind: "bye" }));
    addEventListener("pageshow", ({ persisted }) => persisted && this.port?.postMessage({ kind: "hello", since: this.since }));
    addEventListener("online", () => this.check());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) {
        this.check();
        this.flush();
      }
    });
  }

  on(kind, handler) {
    this.handlers[kind].push(handler);
    if (kind === "state" && this.state) handler(this.state);
  }

  connect() {
    const url = new URL("./feed-worker.js", import.meta.url);
    try {
      const worker = new SharedWorker(url, { type: "module", name: "phased" });
      worker.onerror = () => this.read();
      this.port = worker.port;
      this.port.onmessage = ({ data }) => this.receive(data);
      this.port.postMessage({ kind: "hello", since: this.since });
    } catch {
      this.read(); // a browser without shared workers
    }
  }

  read() {
    this.port = undefined;
    this.reader ??= new EventReader("/web/events", (message) => this.receive(message));
    this.reader.start(this.since);
  }

  check() {
    if (this.port) this.port.postMessage({ kind: "check" });
    else this.reader?.check();
  }

  receive(message) {
    if (message.kind !== "events") {
      this.state = message;
      this.tell("state", message);
      return;
    }
    for (const event of message.events) {
      if (event.name === "gap") {
        this.missed = true;
        this.since = event.id; // perhaps smaller: another daemon counts anew
      } else if (event.id > this.since) {
        this.since = event.id;
        this.waiting.push({ ...event.data, sequence: event.id });
      }
    }
    if (this.waiting.length > MOST_WAITING) {
      this.waiting = [];
      this.missed = true;
    }
    this.plan();
  }

  plan() {
    if (this.planned) return;
    this.planned = true;
    if (document.hidden) setTimeout(() => this.flush(), 1_000);
    else requestAnimationFrame(() => this.flush());
  }

  flush() {
    this.planned = false;
    const { waiting, missed } = this;
    this.waiting = [];
    this.missed = false;
    if (waiting.length) this.tell("changes", waiting);
    if (missed) this.tell("gap");
  }

  tell(kind, what) {
    for (const handler of this.handlers[kind]) handler(what);
  }
}

export const feed = new Feed(Number(document.body.dataset.sequence) || 0);
