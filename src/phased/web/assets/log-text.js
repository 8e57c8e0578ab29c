// A line of a log, from bytes to runs of text with a style, and cut into rows.
//
// Knows ANSI escape sequences and what of Unicode can deceive. Must not know pages or where logs come from:
// everything here is a function of what it is given. Nothing it returns is HTML.

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes to text; what is no UTF-8 becomes U+FFFD. */
export const decode = (bytes) => decoder.decode(bytes);

// In this order: CSI; OSC, DCS, SOS, PM and APC with their end; other escapes; controls; what turns or breaks lines.
const TOKEN =
  /(?:\x1b\[|\x9b)([0-?]*)([ -/]*)([@-~])|\x1b[\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\t/gu;
const PLAIN = /^[\x20-\x7e]*$/;
const MOVES = /[\b\r]|(?:\x1b\[|\x9b)[0-9;]*[CDGKPX@`]/;
const ESCAPES = /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-~]/g;

const NAMES = new Map([
  [0x061c, "ALM"], [0x200e, "LRM"], [0x200f, "RLM"], [0x2028, "LS"], [0x2029, "PS"],
  [0x202a, "LRE"], [0x202b, "RLE"], [0x202c, "PDF"], [0x202d, "LRO"], [0x202e, "RLO"],
  [0x2066, "LRI"], [0x2067, "RLI"], [0x2068, "FSI"], [0x2069, "PDI"],
]);
const MOST_COLUMNS = 100_000; // a cursor that is sent farther makes no line longer

/** A text without what steers a terminal: what a search looks at. Newlines stay where they are. */
export function withoutEscapes(text) {
  const plain = text.includes("\x1b") ? text.replace(/\x1b\[[0-9;]*[A-Za-z]/g, "") : text; // most of them, at speed
  return plain.includes("\x1b") || plain.includes("\x9b") ? plain.replace(ESCAPES, "") : plain;
}

/**
 * What a terminal would show of one line, as `{spans: [{text, style, mark}], style}`; the style at its end is that
 * of the next line's beginning. `style` is null, or has some of fg, bg (0..255 or "#rrggbb"), bold, dim, italic,
 * underline, strike, inverse. `mark` names a character that is shown by its name, since it would not be seen.
 */
export function parseLine(text, style = null) {
  if (text.endsWith("\r")) text = text.slice(0, -1);
  if (PLAIN.test(text)) return { spans: text ? [{ text, style, mark: null }] : [], style };
  const screen = MOVES.test(text) ? new Cells() : new Spans();
  let at = 0;
  for (const found of text.matchAll(TOKEN)) {
    if (found.index > at) screen.put(text.slice(at, found.index), style);
    at = found.index + found[0].length;
    style = obey(found, screen, style);
  }
  if (at < text.length) screen.put(text.slice(at), style);
  return { spans: screen.finish(), style };
}

function obey(found, screen, style) {
  const [token, parameters, , final] = found;
  if (final === "m" && !/[<=>?]/.test(parameters)) return restyled(style, parameters);
  if (final !== undefined) screen.move(final, Number.parseInt(parameters, 10));
  else if (token === "\t") screen.tab(style);
  else if (token === "\r") screen.move("G", 1);
  else if (token === "\b") screen.move("D", 1);
  else if (token.length === 1 || token.codePointAt(0) > 0xffff) screen.mark(token.codePointAt(0), style);
  return style;
}

/** Runs of text, one after another: lines in which no cursor moves. */
class Spans {
  #spans = [];
  #columns = 0;

  put(text, style) {
    this.#columns += columnsOf(text);
    const last = this.#spans.at(-1);
    if (last && last.style === style && !last.mark) last.text += text;
    else this.#spans.push({ text, style, mark: null });
  }

  tab(style) {
    this.put(" ".repeat(8 - (this.#columns % 8)), style);
  }

  mark(code, style) {
    if (code === 7) return; // the bell
    const [text, name] = named(code);
    this.#columns += text.length;
    const last = this.#spans.at(-1);
    if (last && last.style === style && last.mark === name) last.text += text;
    else this.#spans.push({ text, style, mark: name });
  }

  move() {}

  finish() {
    return this.#spans;
  }
}

/** A row of cells with a cursor: lines that overwrite themselves. */
class Cells {
  #cells = [];
  #at = 0;

  put(text, style) {
    for (const one of text) {
      if (this.#at && isNarrow(one)) {
        const before = this.#cells[this.#at - 1];
        if (before) before.text += one;
      } else this.#set({ text: one, style, mark: null });
    }
  }

  tab(style) {
    this.put(" ".repeat(8 - (this.#at % 8)), style);
  }

  mark(code, style) {
    if (code === 7) return;
    const [text, name] = named(code);
    this.#set({ text, style, mark: name });
  }

  move(final, given) {
    const count = Number.isNaN(given) || given < 1 ? 1 : Math.min(given, MOST_COLUMNS);
    if (final === "C") this.#at = Math.min(this.#at + count, MOST_COLUMNS);
    else if (final === "D") this.#at = Math.max(this.#at - count, 0);
    else if (final === "G" || final === "`") this.#at = count - 1;
    else if (final === "P") this.#cells.splice(this.#at, count);
    else if (final === "X") this.#clear(this.#at, this.#at + count);
    else if (final === "@") this.#insert(count);
    else if (final === "K") this.#erase(given);
  }

  #set(cell) {
    while (this.#cells.length < this.#at) this.#cells.push({ text: " ", style: null, mark: null });
    this.#cells[this.#at] = cell;
    this.#at = Math.min(this.#at + 1, MOST_COLUMNS);
  }

  #insert(count) {
    if (this.#at >= this.#cells.length || this.#cells.length + count > MOST_COLUMNS) return;
    const blanks = Array.from({ length: count }, () => ({ text: " ", style: null, mark: null }));
    this.#cells.splice(this.#at, 0, ...blanks);
  }

  #erase(how) {
    if (how === 1) this.#clear(0, this.#at + 1);
    else if (how === 2) this.#cells = [];
    else this.#cells.length = Math.min(this.#cells.length, this.#at);
  }

  #clear(from, to) {
    for (let at = from; at < Math.min(to, this.#cells.length); at += 1) {
      this.#cells[at] = { text: " ", style: null, mark: null };
    }
  }

  finish() {
    const spans = [];
    for (const cell of this.#cells) {
      const last = spans.at(-1);
      if (last && last.style === cell.style && last.mark === cell.mark) last.text += cell.text;
      else spans.push({ ...cell });
    }
    return spans;
  }
}

function named(code) {
  const name = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  if (NAMES.has(code)) return [NAMES.get(code), name];
  if (code < 0x20) return [String.fromCodePoint(0x2400 + code), name];
  return [code === 0x7f ? "\u2421" : name, name];
}

// ---- styles (ECMA-48, 8.3.117, and what xterm added for 256 and all colours) ----------------------------------

const SWITCHES = new Map([
  [1, { bold: true }], [2, { dim: true }], [3, { italic: true }], [4, { underline: true }],
  [7, { inverse: true }], [9, { strike: true }], [21, { underline: true }], [22, { bold: false, dim: false }],
  [23, { italic: false }], [24, { underline: false }], [27, { inverse: false }], [29, { strike: false }],
  [39, { fg: null }], [49, { bg: null }],
]);

function restyled(style, parameters) {
  const codes = parameters.split(/[;:]/).map((one) => Number.parseInt(one, 10) || 0);
  let next = { ...style };
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at];
    if (code === 0) next = {};
    else if (SWITCHES.has(code)) Object.assign(next, SWITCHES.get(code));
    else if (code >= 30 && code <= 37) next.fg = code - 30;
    else if (code >= 40 && code <= 47) next.bg = code - 40;
    else if (code >= 90 && code <= 97) next.fg = code - 82;
    else if (code >= 100 && code <= 107) next.bg = code - 92;
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(codes.slice(at + 1));
      if (colour !== null) next[code === 38 ? "fg" : "bg"] = colour;
      at += used;
    }
  }
  const kept = Object.entries(next).filter(([, value]) => value !== false && value !== null);
  return kept.length ? Object.fromEntries(kept) : null;
}

function extended([kind, ...rest]) {
  if (kind === 5) return [rest[0] <= 255 ? rest[0] : null, 2];
  if (kind !== 2) return [null, 1];
  const rgb = rest.slice(0, 3);
  const good = rgb.length === 3 && rgb.every((one) => one <= 255);
  return [good ? `#${rgb.map((one) => one.toString(16).padStart(2, "0")).join("")}` : null, 4];
}

/** A colour beyond the sixteen that have names, as CSS knows it; null for those. */
export function cssColour(colour) {
  if (typeof colour === "string") return colour;
  if (colour < 16) return null;
  if (colour >= 232) return `rgb(${Array(3).fill(8 + (colour - 232) * 10).join(" ")})`;
  const cube = colour - 16;
  const level = (one) => (one ? 55 + one * 40 : 0);
  return `rgb(${level(Math.floor(cube / 36))} ${level(Math.floor(cube / 6) % 6)} ${level(cube % 6)})`;
}

// ---- columns --------------------------------------------------------------------------------------------------

const ZERO = /^[\p{M}\u200b-\u200d\ufe00-\ufe0f\u{1f3fb}-\u{1f3ff}]$/u;
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

const isNarrow = (one) => one > "\u02ff" && ZERO.test(one);
const widthOf = (one) => (one < "\u0300" ? 1 : ZERO.test(one) ? 0 : WIDE.test(one) ? 2 : 1);

function columnsOf(text) {
  if (PLAIN.test(text)) return text.length;
  let columns = 0;
  for (const one of text) columns += widthOf(one);
  return columns;
}

/** The spans of a line in rows of at most so many columns; one row at least. */
export function cutRows(spans, columns) {
  const rows = [[]];
  let room = columns;
  for (const span of spans) {
    let rest = span.text;
    while (rest) {
      const [taken, used] = prefix(rest, room);
      if (taken) {
        rows.at(-1).push({ ...span, text: rest.slice(0, taken) });
        rest = rest.slice(taken);
        room -= used;
      }
      if (rest) {
        rows.push([]);
        room = columns;
      }
    }
  }
  return rows;
}

/** How much of a text has room: its length and its columns. Where nothing else is there, one character has. */
function prefix(text, room) {
  if (PLAIN.test(text)) {
    const taken = Math.min(text.length, room);
    return [taken, taken];
  }
  let taken = 0;
  let used = 0;
  for (const one of text) {
    const width = widthOf(one);
    if (used + width > room && !(taken === 0 && width > 1 && room > 0)) break;
    taken += one.length;
    used += width;
  }
  return [taken, Math.min(used, room)];
}

/** The spans with those parts set apart that a pattern (global) finds: they have `found`. */
export function withFound(spans, pattern) {
  const text = spans.map((one) => one.text).join("");
  const cuts = [];
  pattern.lastIndex = 0;
  for (const found of text.matchAll(pattern)) {
    if (found[0] && cuts.push([found.index, found.index + found[0].length]) >= 500) break;
  }
  return cuts.length ? setApart(spans, cuts) : spans;
}

function setApart(spans, cuts) {
  const out = [];
  let at = 0;
  for (const span of spans) {
    const end = at + span.text.length;
    let from = at;
    for (const [begin, stop] of cuts) {
      const first = Math.max(begin, from);
      const last = Math.min(stop, end);
      if (first >= last) continue;
      if (first > from) out.push({ ...span, text: span.text.slice(from - at, first - at) });
      out.push({ ...span, text: span.text.slice(first - at, last - at), found: true });
      from = last;
    }
    if (from < end) out.push({ ...span, text: span.text.slice(from - at) });
    at = end;
  }
  return out;
}
