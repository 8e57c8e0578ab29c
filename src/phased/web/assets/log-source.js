// Logs as lines, of any size: which bytes are where, and which of them are at hand.
//
// Knows byte ranges, newlines and chunks. Must not know pages; how bytes are fetched it is told. A log is cut into
// chunks of equal size; the lines of a chunk are those that begin in it, so that a chunk can be read without what is
// before it. Where a whole chunk has no newline, a line begins at the next one: nothing has to be read twice, and
// nothing is ever longer than two chunks.

import { cutRows, decode, parseLine, withFound } from "./log-text.js";

export const CHUNK = 32 * 1024;
const MOST_KEPT = 96; // chunks, of bytes and of lines: 3 MiB each
const NEWLINE = 10;

/** One log: what is known of it. `size` grows; of `first` bytes nothing is left. */
export class Segment {
  constructor({ id, label, url, size = 0, first = 0, phase = null }) {
    Object.assign(this, { id, label, url, size, first, phase });
    this.seen = []; // [size, time]: it had so many bytes when it was looked at
  }

  /** When a line that begins at this byte was first seen, in milliseconds; null where it is not known. */
  timeOf(offset) {
    let [low, high] = [0, this.seen.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.seen[middle][0] > offset) high = middle;
      else low = middle + 1;
    }
    return low > 0 && low < this.seen.length ? this.seen[low][1] : null;
  }
}

/** Several logs as one. A line is `{segment, offset}`; `offset` is -1 for a segment's heading. */
export class Source {
  #bytes = new Map(); // "segment/chunk" -> Uint8Array, the one used longest ago first
  #lines = new Map(); // "segment/chunk" -> Lines, the same
  #coming = new Map(); // "segment/chunk" -> Promise

  /** `fetchRange(url, begin, end)` answers a promise of the bytes there are in it. */
  constructor(segments, fetchRange, { headings = segments.length > 1 } = {}) {
    this.segments = segments;
    this.headings = headings;
    this.columns = 4000; // of a row
    this.found = () => null; // of a line: the pattern of what is set apart in it, or null
    this.fetchRange = fetchRange;
  }

  get size() {
    return this.segments.reduce((sum, one) => sum + one.size - one.first, 0);
  }

  /** A log is now so large, and so many of its first bytes are gone. */
  resize(index, size, first, time) {
    const segment = this.segments[index];
    if (size === segment.size && first === segment.first) return false;
    const unchanged = size < segment.size ? 0 : segment.size;
    if (size < segment.size) segment.seen = [];
    else if (size > segment.size) {
      if (segment.seen.length === 0) segment.seen.push([segment.size, time]);
      segment.seen.push([size, time]);
      if (segment.seen.length > 20_000) segment.seen.splice(1, 10_000);
    }
    this.#forget(index, first > segment.first ? 0 : Math.floor(unchanged / CHUNK) - 2);
    Object.assign(segment, { size, first });
    return true;
  }

  /** Everything of the width of rows and of what is set apart is to be made anew. */
  restyle({ columns = this.columns, found = this.found }) {
    if (columns === this.columns && found === this.found) return false;
    Object.assign(this, { columns, found });
    for (const lines of this.#lines.values()) lines.rows.clear();
    return true;
  }

  #forget(index, from) {
    for (const held of [this.#bytes, this.#lines, this.#coming]) {
      for (const key of [...held.keys()]) {
        const [segment, chunk] = key.split("/").map(Number);
        if (segment === index && chunk >= from) held.delete(key);
      }
    }
  }

  // ---- what is at hand --------------------------------------------------------------------------

  /** The lines of the chunk that a byte is in, or undefined: then `load` it. */
  chunk(segment, index) {
    return touched(this.#lines, `${segment}/${index}`);
  }

  /** Fetch what the lines of a chunk need. */
  load(segment, index) {
    const key = `${segment}/${index}`;
    if (this.#lines.has(key)) return Promise.resolve();
    if (!this.#coming.has(key)) {
      const coming = this.#load(segment, index, key).finally(() => {
        if (this.#coming.get(key) === coming) this.#coming.delete(key);
      });
      this.#coming.set(key, coming);
    }
    return this.#coming.get(key);
  }

  async #load(segment, index, key) {
    const facts = this.segments[segment];
    const { size, first } = facts;
    const from = Math.max(index - 1, Math.floor(first / CHUNK), 0);
    const bytes = await this.#bytesOf(segment, from, index + 1);
    if (facts.size !== size || facts.first !== first) {
      return index * CHUNK < facts.size ? this.#load(segment, index, key) : undefined;
    }
    const lines = new Lines(bytes, from * CHUNK, index, first);
    keep(this.#lines, key, lines, MOST_KEPT);
  }

  /** The bytes of chunks `from` to `to`, as one; those that are not at hand are fetched at once. */
  async #bytesOf(segment, from, to) {
    const { size, url } = this.segments[segment];
    const last = Math.min(to, Math.ceil(size / CHUNK) - 1);
    const missing = [];
    for (let chunk = from; chunk <= last; chunk += 1) {
      if (!touched(this.#bytes, `${segment}/${chunk}`)) missing.push(chunk);
    }
    if (missing.length) {
      const begin = missing[0] * CHUNK;
      const end = Math.min((missing.at(-1) + 1) * CHUNK, size);
      const got = await this.fetchRange(url, begin, end);
      if (got.length < end - begin) throw new Error("the log is shorter than it was");
      if (this.segments[segment]?.size === size) {
        for (let at = 0; at < got.length; at += CHUNK) {
          const chunk = (begin + at) / CHUNK;
          keep(this.#bytes, `${segment}/${chunk}`, got.slice(at, at + CHUNK), MOST_KEPT);
        }
      }
      if (missing.length === last - from + 1) return got;
    }
    const parts = [];
    for (let chunk = from; chunk <= last; chunk += 1) {
      const part = this.#bytes.get(`${segment}/${chunk}`);
      if (!part) return this.#bytesOf(segment, from, to);
      parts.push(part);
    }
    return joined(parts);
  }

  // ---- from line to line ------------------------------------------------------------------------

  /** The line that a byte is in. Undefined where it is not at hand: `missing` says what to load. */
  lineAt(segment, offset) {
    const facts = this.segments[segment];
    if (offset < facts.first || facts.size === facts.first) return this.#firstOf(segment);
    let index = Math.floor(Math.min(offset, facts.size - 1) / CHUNK);
    for (; index >= 0; index -= 1) {
      const lines = this.chunk(segment, index);
      if (!lines) return this.#miss(segment, index);
      const at = lines.indexOf(offset);
      if (at >= 0) return { segment, offset: lines.starts[at] };
    }
    return this.#firstOf(segment);
  }

  /** The line after this one; null after the last, undefined where it is not at hand. */
  next({ segment, offset }) {
    const facts = this.segments[segment];
    if (offset < 0) {
      if (facts.size > facts.first) return { segment, offset: facts.first };
      return this.#firstOfNext(segment);
    }
    const index = Math.floor(offset / CHUNK);
    const lines = this.chunk(segment, index);
    if (!lines) return this.#miss(segment, index);
    const at = lines.indexOf(offset);
    if (at + 1 < lines.starts.length) return { segment, offset: lines.starts[at + 1] };
    if (lines.end >= facts.size) return this.#firstOfNext(segment);
    return { segment, offset: lines.end };
  }

  /** The line before this one; null before the first, undefined where it is not at hand. */
  previous({ segment, offset }) {
    const facts = this.segments[segment];
    if (offset > facts.first) return this.lineAt(segment, offset - 1);
    if (offset >= 0 && this.headings) return { segment, offset: -1 };
    return segment > 0 ? this.lastOf(segment - 1) : null;
  }

  /** The very first line there is; null where there is none. */
  get first() {
    return this.segments.length ? this.#firstOf(0) : null;
  }

  /** The last line of a segment, or of what is before it. */
  lastOf(segment) {
    if (segment < 0) return null;
    const facts = this.segments[segment];
    if (facts.size > facts.first) return this.lineAt(segment, facts.size - 1);
    return this.headings ? { segment, offset: -1 } : this.lastOf(segment - 1);
  }

  #firstOf(segment) {
    if (this.headings) return { segment, offset: -1 };
    const facts = this.segments[segment];
    return facts.size > facts.first ? { segment, offset: facts.first } : this.#firstOfNext(segment);
  }

  #firstOfNext(segment) {
    return segment + 1 < this.segments.length ? this.#firstOf(segment + 1) : null;
  }

  #miss(segment, index) {
    this.missing = [segment, index];
    return undefined;
  }

  /** The rows of a line, each a list of spans; a heading has one, which is empty. */
  rowsOf({ segment, offset }) {
    if (offset < 0) return [[]];
    const index = Math.floor(offset / CHUNK);
    const lines = this.chunk(segment, index);
    if (!lines) return this.#miss(segment, index);
    if (!lines.rows.has(offset)) {
      const spans = lines.spansOf(offset);
      const pattern = this.found({ segment, offset });
      lines.rows.set(offset, cutRows(pattern ? withFound(spans, pattern) : spans, this.columns));
    }
    return lines.rows.get(offset);
  }

  /** Load whatever the last call missed. */
  loadMissing() {
    const [segment, index] = this.missing;
    return this.load(segment, index);
  }
}

/** The lines that begin in one chunk. */
class Lines {
  constructor(bytes, base, index, first) {
    const begin = index * CHUNK - base;
    this.starts = [];
    this.rows = new Map();
    if (index * CHUNK <= first && first < (index + 1) * CHUNK) this.starts.push(first);
    else if (begin > 0 && startsAt(bytes, begin)) this.starts.push(base + begin);
    const stop = Math.min(begin + CHUNK, bytes.length);
    let at = Math.max(begin, first - base);
    while ((at = bytes.indexOf(NEWLINE, at)) >= 0 && (at += 1) < stop) this.starts.push(base + at);
    this.end = base + endOf(bytes, stop, (this.starts.at(-1) ?? base + begin) - base);
    this.base = this.starts[0] ?? this.end;
    this.bytes = bytes.slice(this.base - base, this.end - base);
    this.styles = [null];
  }

  /** The index of the line that a byte is in; -1 where it begins before. */
  indexOf(offset) {
    let [low, high] = [0, this.starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The spans of the line that begins at a byte. Colours last over lines, as far as the chunk is known. */
  spansOf(offset) {
    const index = this.indexOf(offset);
    for (let at = this.styles.length - 1; at < index; at += 1) {
      const text = this.textOf(at);
      this.styles.push(text.includes("\x1b") || this.styles[at] ? parseLine(text, this.styles[at]).style : null);
    }
    return parseLine(this.textOf(index), this.styles[index]).spans;
  }

  textOf(index) {
    const begin = this.starts[index] - this.base;
    let end = (this.starts[index + 1] ?? this.end) - this.base;
    if (this.bytes[end - 1] === NEWLINE) end -= 1;
    return decode(this.bytes.subarray(begin, end));
  }
}

/** Whether a line begins at the beginning of a chunk: after a newline, or where the chunk before had none. */
function startsAt(bytes, begin) {
  if (bytes[begin - 1] === NEWLINE) return true;
  const newline = bytes.indexOf(NEWLINE, begin - CHUNK);
  return newline < 0 || newline >= begin;
}

/** Where the last line of a chunk ends: after its newline, or where the next line begins without one. */
function endOf(bytes, stop, start) {
  const newline = bytes.indexOf(NEWLINE, start);
  if (newline >= 0 && newline < stop) return Math.min(newline + 1, bytes.length);
  const inside = bytes.subarray(stop - CHUNK, stop).indexOf(NEWLINE) >= 0;
  if (!inside && stop >= CHUNK && stop < bytes.length) return stop;
  if (newline >= 0 && newline < stop + CHUNK) return newline + 1;
  return Math.min(bytes.length, stop + CHUNK);
}

function joined(parts) {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(parts.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function touched(held, key) {
  const value = held.get(key);
  if (value !== undefined) {
    held.delete(key);
    held.set(key, value);
  }
  return value;
}

function keep(held, key, value, most) {
  held.delete(key);
  held.set(key, value);
  for (const oldest of held.keys()) {
    if (held.size <= most) break;
    held.delete(oldest);
  }
}
