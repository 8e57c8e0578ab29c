// A window onto lines of any number: only what is near it is in the page.
//
// Knows elements, scrolling and a Source. Must not know buttons or addresses. All rows have one height. Up to
// MOST_EXACT bytes every line is counted, and the scroll bar is exact. Beyond, the bar stands for bytes: a small
// movement goes from row to row, a large one to the byte that is as far along the log, and what the bar says is set
// right where scrolling rests. So a browser's limit for the height of elements does not matter.

import { cssColour } from "./log-text.js";
import { CHUNK } from "./log-source.js";

const MOST_EXACT = 512 * 1024; // bytes
const MOST_EXACT_PARTS = 30;
const MOST_HEIGHT = 6_000_000; // pixels; browsers' limits are 16 million and more
const LEAP = 4; // heights of the window that are a large movement
const REST = 150; // milliseconds without scrolling

const keyOf = ({ segment, offset }, row) => `${segment}:${offset}:${row}`;

export class LogView {
  #anchor = null; // {line, row, y}: where one row is; all others follow from it
  #top = 0; // scrollTop as it was looked at last
  #index = null; // of every line, where they are few
  #height = 0;
  #drawn = new Map();
  #asked = 0; // the newest jump
  #planned = false;
  #resting = 0;
  #leaping = false; // what moves the bar now has moved it far: all of that movement goes by bytes
  #seeking = false; // a line is being fetched that will be the anchor
  #closed = new AbortController();

  /**
   * `decorate(element, line)` fills a heading and the margin of a row; `moved({byUser})` is told after scrolling;
   * `failed(error)` when something could not be fetched.
   */
  constructor(scroller, source, { decorate, moved, failed }) {
    Object.assign(this, { scroller, source, decorate, moved, failed, wrap: false, marked: null });
    this.space = element("div", "log-space");
    this.rows = element("div", "log-rows");
    scroller.replaceChildren(this.space, this.rows);
    this.#measure();
    const { signal } = this.#closed;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true, signal });
    const observer = new ResizeObserver(() => this.#resized());
    observer.observe(scroller);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  /** Leave the element to another. */
  close() {
    this.#closed.abort();
    this.#asked += 1;
    clearTimeout(this.#resting);
  }

  // ---- what others ask ---------------------------------------------------------------------------

  /** Show the beginning, the end, or a line. */
  async open(target) {
    await this.refresh();
    if (target === "end") await this.toEnd();
    else if (target) await this.toLine(target);
    else await this.#seek(() => this.source.first, (line) => this.#place(line, 0, 0, 0));
  }

  /** The source has changed: its sizes, its rows, or what is set apart. */
  async refresh({ stick = false } = {}) {
    await this.#count();
    if (stick) await this.toEnd();
    else this.#plan();
  }

  async toEnd() {
    const last = () => this.source.lastOf(this.source.segments.length - 1);
    await this.#seek(last, (line) => {
      const row = this.source.rowsOf(line).length - 1;
      this.#place(line, row, this.#height - this.line, this.#height - this.scroller.clientHeight);
    });
  }

  /** Bring the line that a byte is in into sight, a third from the top where it was out of it; answers the line. */
  async toLine({ segment, offset }) {
    return this.#seek(
      () => this.source.lineAt(segment, offset),
      (line) => {
        const shown = this.#rowOf(line);
        const view = this.scroller.clientHeight;
        if (shown !== null && shown >= this.#top && shown + this.line <= this.#top + view) {
          this.#plan();
          return line;
        }
        const y = this.#index ? this.#index.yOf(line) * this.line : this.#along(line) + view / 3;
        this.#place(line, 0, y, Math.max(y - view / 3, 0));
        return line;
      },
    );
  }

  /** Mark a line, or none. */
  mark(line) {
    this.marked = line;
    for (const [key, row] of this.#drawn) row.classList.toggle("is-marked", this.#isMarked(key));
  }

  /** The first line that is wholly in sight; null before there is one. */
  get topLine() {
    return this.#inSight()[0] ?? null;
  }

  /** Whether the end is in sight. */
  get atEnd() {
    return this.#top + this.scroller.clientHeight >= this.#height - this.line * 1.5;
  }

  /** The number of a line in its log, from 1; null where lines are not counted. */
  numberOf(line) {
    return this.#index?.numberOf(line) ?? null;
  }

  /** Draw every row anew: what decorates it, or is set apart in it, has changed. */
  redraw() {
    this.#drawn.clear();
    this.#plan();
  }

  setWrap(wrap) {
    this.wrap = wrap;
    this.scroller.classList.toggle("is-wrapped", wrap);
    return this.#reflow();
  }

  // ---- measures ------------------------------------------------------------------------------------

  #measure() {
    const probe = element("div", "log-row");
    const text = element("span", "log-text", "0".repeat(100));
    probe.append(element("a", "log-at"), text);
    this.rows.append(probe);
    this.line = probe.getBoundingClientRect().height;
    this.character = text.getBoundingClientRect().width / 100;
    this.margin = text.getBoundingClientRect().left - this.rows.getBoundingClientRect().left;
    probe.remove();
  }

  /** Room for the longest number of a line, or of a byte. */
  #widen() {
    const { segments } = this.source;
    const largest = Math.max(0, ...segments.map((one) => one.size));
    const digits = this.source.size <= MOST_EXACT ? 5 : Math.ceil(String(largest).length * 4 / 3) + 1;
    if (digits === this.digits) return;
    this.digits = digits;
    this.scroller.style.setProperty("--digits", digits);
    this.#measure();
  }

  #columns() {
    if (!this.wrap) return 4000;
    const room = this.scroller.clientWidth - this.margin - this.character;
    return Math.max(Math.floor(room / this.character), 10);
  }

  async #reflow() {
    const line = this.topLine;
    this.#measure();
    if (!this.source.restyle({ columns: this.#columns() })) return;
    this.#drawn.clear();
    await this.#count();
    if (line) await this.#seek(() => line, () => this.#place(line, 0, this.#yOf(line), this.#yOf(line)));
  }

  #resized() {
    if (this.wrap) this.#reflow().catch(this.failed);
    this.#plan();
  }

  /** Count the lines, where they are few; else guess how high they are all together. */
  async #count() {
    const { source } = this;
    this.#widen();
    this.source.restyle({ columns: this.#columns() });
    let index = null;
    if (source.size <= MOST_EXACT && source.segments.length <= MOST_EXACT_PARTS) {
      await Promise.all(chunksOf(source).map(([segment, chunk]) => source.load(segment, chunk)));
      index = Index.of(source);
    }
    this.#index = index && index.rows * this.line <= MOST_HEIGHT ? index : null;
    this.#setHeight(this.#index ? this.#index.rows * this.line : this.#guess());
  }

  #guess() {
    const { source } = this;
    const rows = source.size / this.#average() + (source.headings ? source.segments.length : 0);
    return Math.min(Math.max(rows * this.line, this.scroller.clientHeight * 4), MOST_HEIGHT);
  }

  /** Bytes of a line, from what is at hand. */
  #average() {
    if (!this.average) {
      const largest = this.source.segments.reduce((one, other) => (other.size > one.size ? other : one));
      const index = Math.floor(largest.first / CHUNK);
      const lines = this.source.chunk(this.source.segments.indexOf(largest), index);
      if (lines?.starts.length > 1) this.average = CHUNK / lines.starts.length;
    }
    return this.average ?? 80;
  }

  #setHeight(height) {
    this.#height = Math.max(height, 0);
    this.space.style.height = `${this.#height}px`;
  }

  // ---- bytes and pixels, where lines are not counted -------------------------------------------------

  #weights() {
    const extra = this.source.headings ? this.#average() : 0;
    return this.source.segments.map((one) => one.size - one.first + extra);
  }

  #along({ segment, offset }) {
    const weights = this.#weights();
    const all = weights.reduce((sum, one) => sum + one, 0) || 1;
    const before = weights.slice(0, segment).reduce((sum, one) => sum + one, 0);
    const within = offset < 0 ? 0 : offset - this.source.segments[segment].first;
    return ((before + within) / all) * Math.max(this.#height - this.scroller.clientHeight, 0);
  }

  #at(top) {
    const weights = this.#weights();
    const all = weights.reduce((sum, one) => sum + one, 0);
    let left = (top / Math.max(this.#height - this.scroller.clientHeight, 1)) * all;
    for (const [segment, weight] of weights.entries()) {
      const { first, size } = this.source.segments[segment];
      if (left < weight || segment === weights.length - 1) {
        return { segment, offset: Math.min(first + Math.floor(left), Math.max(size - 1, first)) };
      }
      left -= weight;
    }
    return null;
  }

  #yOf(line) {
    return this.#index ? this.#index.yOf(line) * this.line : this.#along(line);
  }

  // ---- moving ----------------------------------------------------------------------------------------

  #scrolled() {
    const top = this.scroller.scrollTop;
    const delta = top - this.#top;
    if (Math.abs(delta) < 0.5) return;
    this.#top = top;
    const view = this.scroller.clientHeight;
    this.#leaping ||= Math.abs(delta) > view * LEAP;
    if (!this.#index && (this.#leaping || this.#seeking)) this.#jump(top, view);
    else {
      this.#asked += 1;
      this.#plan();
    }
    this.moved({ byUser: true, up: delta < 0 && !this.atEnd }); // a window that grows moves it, too
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => this.#rest(), REST);
  }

  #jump(top, view) {
    if (top >= this.#height - view - 1) this.toEnd().catch(this.failed);
    else if (top <= 0) this.#seek(() => this.source.first, (line) => this.#place(line, 0, 0, 0)).catch(this.failed);
    else {
      const { segment, offset } = this.#at(top);
      const line = () => this.source.lineAt(segment, offset);
      this.#seek(line, (found) => this.#place(found, 0, this.#top, this.#top)).catch(this.failed);
    }
  }

  /** Find a line that may have to be fetched, and then do something; unless something else was asked meanwhile. */
  async #seek(find, then) {
    const asked = (this.#asked += 1);
    this.#seeking = true;
    try {
      for (let tries = 0; tries < 20; tries += 1) {
        const line = find();
        if (line === null) return this.#plan();
        if (line !== undefined && this.source.rowsOf(line)) return then(line);
        this.scroller.setAttribute("aria-busy", "true");
        await this.source.loadMissing();
        if (asked !== this.#asked) return undefined;
      }
    } finally {
      if (asked === this.#asked) this.#seeking = false;
    }
    throw new Error("the log changes faster than it can be read");
  }

  #place(line, row, y, top) {
    this.#anchor = { line, row, y };
    this.#top = Math.max(Math.min(top, this.#height - this.scroller.clientHeight), 0);
    this.scroller.scrollTop = this.#top;
    this.#top = this.scroller.scrollTop;
    this.#draw();
  }

  /** Move everything, so that nothing seems to move. */
  #shift(by) {
    this.#anchor.y += by;
    this.scroller.scrollTop += by;
    this.#top = this.scroller.scrollTop;
  }

  /** Where scrolling rests, the bar says how far along the log this is. */
  #rest() {
    this.#leaping = false;
    if (this.#index || !this.#anchor) return;
    const line = this.topLine;
    if (!line || this.#first === 0 || this.#last >= this.#height - 1) return;
    const view = this.scroller.clientHeight;
    const wanted = Math.min(Math.max(this.#along(line), view * 2), this.#height - view * 3);
    if (Math.abs(wanted - this.#top) > view / 2) {
      this.#shift(wanted - this.#top);
      this.#plan();
    }
  }

  // ---- drawing ---------------------------------------------------------------------------------------

  #plan() {
    if (this.#planned) return;
    this.#planned = true;
    requestAnimationFrame(() => {
      this.#planned = false;
      this.#draw();
    });
  }

  #draw() {
    const { source } = this;
    if (!this.#anchor) {
      if (source.first === null) this.#render([]);
      return;
    }
    let rows = this.#collect();
    if (rows === null) return;
    for (let tries = 0; tries < 3 && this.#correct(rows); tries += 1) rows = this.#collect() ?? rows;
    this.#render(rows);
    this.moved({ byUser: false, up: false });
  }

  /** The rows around what is in sight, with where they are; null where none is at hand. */
  #collect() {
    const view = this.scroller.clientHeight;
    const [from, to] = [this.#top - view, this.#top + 2 * view];
    if (!this.#index && Math.abs(this.#anchor.y - this.#top) > view * LEAP * 4) {
      this.#jump(this.#top, view); // nobody goes there row by row
      return null;
    }
    let cursor = this.#fromIndex(from) ?? this.#anchor;
    this.starts = this.ends = false;
    let missed = false;
    while (cursor.y > from) {
      const before = this.#before(cursor);
      if (before === undefined) missed = this.#fetchMissing();
      if (before === null) this.starts = true;
      if (!before) break;
      cursor = before;
    }
    if (!missed) {
      while (cursor.y + this.line < from) {
        const after = this.#after(cursor);
        if (after === undefined) missed = this.#fetchMissing();
        if (after === null) this.ends = true;
        if (!after) break;
        cursor = after;
      }
    }
    if (this.source.rowsOf(cursor.line) === undefined) {
      this.#fetchMissing();
      return null;
    }
    this.#anchor = cursor;
    const rows = [];
    while (cursor && cursor.y < to) {
      rows.push(cursor);
      const after = this.#after(cursor);
      if (after === undefined) missed = this.#fetchMissing();
      if (after === null) this.ends = true;
      cursor = after;
    }
    if (missed) this.scroller.setAttribute("aria-busy", "true");
    else this.scroller.removeAttribute("aria-busy");
    return rows;
  }

  #fromIndex(y) {
    if (!this.#index || !this.#index.rows) return null;
    const [line, row, number] = this.#index.at(Math.floor(Math.max(y, 0) / this.line));
    return { line, row, y: number * this.line };
  }

  #before({ line, row, y }) {
    if (row > 0) return { line, row: row - 1, y: y - this.line };
    const previous = this.source.previous(line);
    if (!previous) return previous;
    const rows = this.source.rowsOf(previous);
    return rows && { line: previous, row: rows.length - 1, y: y - this.line };
  }

  #after({ line, row, y }) {
    const rows = this.source.rowsOf(line);
    if (rows === undefined) return undefined;
    if (row + 1 < rows.length) return { line, row: row + 1, y: y + this.line };
    const next = this.source.next(line);
    return next && { line: next, row: 0, y: y + this.line };
  }

  #fetchMissing() {
    this.source.loadMissing().then(() => this.#plan(), this.failed);
    return true;
  }

  /** Where the beginning or the end is not where the bar says it is, set that right. Whether it was not. */
  #correct(rows) {
    if (this.#index || !rows.length) return false;
    const view = this.scroller.clientHeight;
    const bottom = rows.at(-1).y + this.line;
    if (this.starts && this.ends) this.#setHeight(Math.max(bottom - rows[0].y, 0));
    if (this.starts && Math.abs(rows[0].y) > 0.5) return this.#corrected(-rows[0].y);
    if (this.starts) return false;
    if (this.ends && Math.abs(bottom - this.#height) > 0.5) return this.#corrected(this.#height - bottom);
    if (!this.ends && this.#top >= this.#height - view - 1) return this.#corrected(-3 * view);
    if (this.#top <= 0) return this.#corrected(3 * view);
    return false;
  }

  #corrected(by) {
    this.#shift(by);
    return true;
  }

  #render(rows) {
    const drawn = new Map();
    for (const { line, row } of rows) {
      const key = keyOf(line, row);
      const spans = this.source.rowsOf(line)?.[row] ?? [];
      const known = this.#drawn.get(key);
      drawn.set(key, known?.spans === spans && line.offset >= 0 ? known : this.#build(line, row, spans, key));
    }
    this.#drawn = drawn;
    this.#first = rows[0]?.y ?? 0;
    this.#last = rows.length ? rows.at(-1).y + this.line : 0;
    this.rows.style.top = `${this.#first}px`;
    replaceWith(this.rows, [...drawn.values()]);
  }

  #first = 0;
  #last = 0;

  #build(line, row, spans, key) {
    if (line.offset < 0) {
      const heading = element("div", "log-heading");
      this.decorate(heading, line);
      return heading;
    }
    const made = element("div", "log-row");
    const margin = element("a", "log-at");
    if (row === 0) this.decorate(margin, line);
    const text = element("bdi", "log-text");
    text.append(...spans.map(drawSpan));
    made.append(margin, text);
    made.spans = spans;
    made.classList.toggle("is-marked", this.#isMarked(key));
    return made;
  }

  #isMarked(key) {
    return this.marked !== null && key.startsWith(`${this.marked.segment}:${this.marked.offset}:`);
  }

  #rowOf(line) {
    let y = this.#first;
    for (const key of this.#drawn.keys()) {
      if (key === keyOf(line, 0)) return y;
      y += this.line;
    }
    return null;
  }

  #inSight() {
    const skipped = Math.max(Math.ceil((this.#top - this.#first) / this.line - 0.01), 0);
    return [...this.#drawn.keys()].slice(skipped).map((key) => {
      const [segment, offset] = key.split(":").map(Number);
      return { segment, offset };
    });
  }
}

/** Every line of a small source, and which row it begins at. */
class Index {
  constructor() {
    this.rows = 0;
    this.lines = [];
    this.begins = [];
    this.places = new Map();
  }

  static of(source) {
    const index = new Index();
    let number = 0;
    for (let line = source.first; line; line = source.next(line)) {
      number = line.offset < 0 || line.segment !== index.lines.at(-1)?.segment ? 0 : number;
      if (line.offset >= 0) number += 1;
      const rows = source.rowsOf(line);
      if (!rows) return null;
      index.places.set(keyOf(line, 0), [index.rows, number]);
      index.begins.push(index.rows);
      index.lines.push(line);
      index.rows += rows.length;
      if (source.next(line) === undefined) return null;
    }
    return index;
  }

  yOf(line) {
    return this.places.get(keyOf(line, 0))?.[0] ?? 0;
  }

  numberOf(line) {
    return this.places.get(keyOf(line, 0))?.[1] ?? null;
  }

  /** The line of a row, its row in the line, and the row's number. */
  at(wanted) {
    const row = Math.min(wanted, this.rows - 1);
    let [low, high] = [0, this.begins.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.begins[middle] <= row) low = middle + 1;
      else high = middle;
    }
    return [this.lines[low - 1], row - this.begins[low - 1], row];
  }
}

function* eachChunk(source) {
  for (const [segment, { first, size }] of source.segments.entries()) {
    for (let chunk = Math.floor(first / CHUNK); chunk * CHUNK < size; chunk += 1) yield [segment, chunk];
  }
}

const chunksOf = (source) => [...eachChunk(source)];

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/** Others' colours, so that they can be read on the page's ground, whichever that is. */
const NAMELESS = {
  fg: (colour) => ["color", `color-mix(in oklab, ${colour} 60%, var(--text))`],
  bg: (colour) => ["background-color", `color-mix(in oklab, ${colour} 25%, var(--ground))`],
};

/** A run of text. Colours that have no name are set by a property, which the page's policy allows. */
function drawSpan({ text, style, mark, found }) {
  if (!style && !mark && !found) return document.createTextNode(text);
  const made = element(found ? "mark" : "span", mark ? "log-mark" : "", text);
  if (mark) made.title = mark;
  for (const [name, value] of Object.entries(style ?? {})) {
    if (name !== "fg" && name !== "bg") made.classList.add(`is-${name}`);
    else if (typeof value === "number" && value < 16) made.classList.add(`${name}-${value}`);
    else made.style.setProperty(...NAMELESS[name](cssColour(value)));
  }
  return made;
}

/** Put these children there, without touching those that stay: a selection lives on. */
function replaceWith(parent, children) {
  const kept = new Set(children);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  for (const [at, child] of children.entries()) {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  }
}
