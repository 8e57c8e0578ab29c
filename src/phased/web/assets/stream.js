// One reading of the daemon's event stream that never gives up: it resumes where it left off after a lost
// connection, a sleep or a restart of the daemon, and says when it is not live.
// Knows HTTP and server-sent events (HTML standard, 9.2). Must not know pages: it also runs in a worker.
// EventSource would hide the comments by which an idle daemon says that it lives, and the status of a refusal.

const SILENCE = 45_000; // milliseconds; the daemon speaks every 30 s
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5_000;

export class EventReader {
  // `tell` is given {kind: "live"}, {kind: "stale", since}, {kind: "ended"}, or {kind: "events", events}:
  // a list of {name, id, data}, where `name` is "change" or "gap" (something is missing: look at everything).
  constructor(url, tell) {
    this.url = url;
    this.tell = tell;
    this.last = null; // the id of the newest event, a number
    this.heard = 0;
    this.running = false;
    this.state = { kind: "stale", since: Date.now() };
    this.wake = () => {};
  }

  start(since) {
    if (this.running) return;
    this.running = true;
    this.last ??= since;
    this.life = {};
    this.watch = setInterval(() => this.check(), 5_000);
    this.run(this.life);
  }

  stop() {
    this.running = false;
    clearInterval(this.watch);
    this.controller?.abort();
    this.wake();
  }

  // Look whether the connection still lives; after a sleep it may be dead without anybody having said so.
  check() {
    if (this.state.kind === "live" && Date.now() - this.heard > SILENCE) this.controller?.abort();
    else if (this.state.kind === "stale") this.wake();
  }

  // `life` is that of one start: after a stop and a start an earlier run ends.
  async run(life) {
    let pause = FIRST_PAUSE;
    while (this.running && this.life === life) {
      const began = this.heard;
      this.controller = new AbortController();
      try {
        if (await this.ask(this.controller.signal)) return;
      } catch {
        // not reachable, or cut off: tried again below
      }
      if (!this.running || this.life !== life) return;
      this.become({ kind: "stale", since: this.heard || Date.now() });
      pause = this.heard > began ? FIRST_PAUSE : Math.min(pause * 2, LONGEST_PAUSE);
      await new Promise((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, pause);
      });
    }
  }

  // True when there is no use in asking again.
  async ask(signal) {
    const query = this.last === null ? "" : `?since=${this.last}`;
    const headers = { accept: "text/event-stream" };
    const response = await fetch(this.url + query, { headers, signal, cache: "no-store" });
    if (response.status === 401 || response.status === 403) {
      this.running = false;
      clearInterval(this.watch);
      this.become({ kind: "ended" });
      return true;
    }
    if (!response.ok) throw new Error(`status ${response.status}`);
    this.heard = Date.now();
    this.become({ kind: "live" });
    await this.read(response.body.pipeThrough(new TextDecoderStream()).getReader());
    return false;
  }

  async read(reader) {
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.heard = Date.now();
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      const events = blocks.map(parse).filter((event) => event && event.name !== "end");
      for (const event of events) this.last = event.id ?? this.last;
      if (events.length) this.tell({ kind: "events", events });
    }
  }

  become(state) {
    if (state.kind === this.state.kind && state.kind !== "live") return;
    this.state = state;
    this.tell(state);
  }
}

function parse(block) {
  let name = "message";
  let id = null;
  let data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("id: ")) id = Number(line.slice(4));
    else if (line.startsWith("data: ")) data = line.slice(6);
  }
  if (name === "snapshot") return { name: "gap", id, data: null }; // pages ask for what they show
  if (name === "gap") return null; // a snapshot follows
  return data ? { name, id, data: JSON.parse(data) } : null;
}
