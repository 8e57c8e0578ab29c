// Searching logs: one search at a time, in a worker, and the line that was found.
//
// Knows a Source and a LogView. Must not know buttons: it says what happened to whoever made it.

const LITERAL = /[.*+?^${}()|[\]\\/]/g;

export class Search {
  #worker = null;
  #stop = null;
  #last = ""; // what was searched for last
  #pattern = null;
  #regex = false;
  #at = null; // the line where it was found

  constructor(source, view, { say, progress }) {
    Object.assign(this, { source, view, say, progress });
  }

  /** Find the next line, or the one before, that has a text; from the line that was found, or what is in sight. */
  async find({ text, regex, exact, backward }) {
    this.cancel();
    const { source, view } = this;
    if (!text) {
      if (source.restyle({ found: () => null })) view.redraw();
      return this.say("");
    }
    const pattern = regex ? text : text.replace(LITERAL, String.raw`\$&`);
    const flags = exact ? "gmu" : "gmiu";
    try {
      this.#pattern = new RegExp(pattern, flags);
    } catch (error) {
      return this.say(`Cannot search for this: ${error.message}.`);
    }
    if (this.#last !== flags + pattern) this.#at = null;
    this.#last = flags + pattern;
    this.#regex = regex;
    this.#setApart(regex);
    return this.run({ source: pattern, flags, backward, from: await this.#from(backward) });
  }

  /**
   * A text is set apart wherever it is in sight. A pattern is only in the line that was found: there it has ended,
   * while in others it might take for ever, and nobody could cancel that.
   */
  #setApart(regex) {
    const pattern = this.#pattern;
    const isFound = ({ segment, offset }) => segment === this.#at?.segment && offset === this.#at.offset;
    this.source.restyle({ found: (line) => (!regex || isFound(line) ? pattern : null) });
    this.view.redraw();
  }

  /** Search, and show the line that was found; whether there was one. */
  async run({ source, flags, from, backward = false, hint = null }) {
    this.cancel();
    this.say("Searching.");
    const parts = this.source.segments.map(({ url, first, size }) => ({ first, size, url: new URL(url, location).href }));
    const told = parts.length ? await this.#ask({ parts, from, source, flags, backward, hint }) : { found: null };
    if (!told) return false;
    if (told.failed) return this.#over(`Cannot search: ${told.failed}.`);
    if (!told.found) return this.#over("Nothing was found.");
    this.#at = (await this.view.toLine(told.found)) ?? told.found;
    this.view.mark(this.#at);
    if (this.#regex) this.#setApart(true);
    const number = this.view.numberOf(this.#at);
    this.say(`Found in ${number ? `line ${number}` : `the line at byte ${this.#at.offset}`}${this.#whose()}.`);
    return true;
  }

  cancel() {
    if (!this.#worker) return;
    this.#stop(null);
    this.say("The search was cancelled.");
  }

  #over(text) {
    this.say(text);
    return false;
  }

  #whose() {
    return this.source.headings ? ` of ${this.source.segments[this.#at.segment].label}` : "";
  }

  #ask(question) {
    const worker = new Worker(new URL("./log-scan.js", import.meta.url), { type: "module" });
    this.#worker = worker;
    this.progress(0);
    return new Promise((resolve) => {
      this.#stop = (told) => {
        worker.terminate();
        this.#worker = null;
        this.progress(null);
        resolve(told);
      };
      worker.onerror = () => this.#stop({ failed: "the page's own program failed" });
      worker.onmessage = ({ data }) => {
        if ("done" in data) this.progress(data.done / data.of);
        else this.#stop(data);
      };
      worker.postMessage(question);
    });
  }

  /** Where to go on: behind the line that was found, before it, or at the first line in sight. */
  async #from(backward) {
    const line = this.#at ?? this.view.topLine ?? { segment: 0, offset: 0 };
    if (!this.#at || backward) return { segment: line.segment, offset: Math.max(line.offset, 0) };
    let next;
    while ((next = this.source.next(line)) === undefined) await this.source.loadMissing();
    return next ? { segment: next.segment, offset: Math.max(next.offset, 0) } : { segment: 0, offset: 0 };
  }
}
