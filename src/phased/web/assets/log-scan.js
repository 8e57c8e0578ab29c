// A worker that looks through logs for a pattern, a block at a time, and tells how far it has come.
//
// Knows byte ranges and patterns. It lives for one search: a pattern that takes for ever is ended with it.
// Asked: {parts: [{url, first, size}], from: {segment, offset}, source, flags, backward, hint}; a block in which the
// hint, a simpler pattern, is not found is not looked at more closely.
// Tells: {done: bytes, of: bytes}, and at last {found: {segment, offset} or null} or {failed: message}.

import { decode, withoutEscapes } from "./log-text.js";

const BLOCK = 4 * 1024 * 1024;
const NEWLINE = 10;

onmessage = async ({ data }) => {
  try {
    postMessage({ found: await search(data) });
  } catch (error) {
    postMessage({ failed: String(error.message ?? error) });
  }
};

async function search({ parts, from, source, flags, backward, hint }) {
  const patterns = { exact: new RegExp(source, flags), hint: hint ? new RegExp(hint, "i") : null };
  const spans = [...spansFrom(parts, from, backward)];
  const of = spans.reduce((sum, one) => sum + one.end - one.begin, 0);
  let done = 0;
  let told = 0;
  for (const span of spans) {
    for await (const block of blocksOf(span, backward)) {
      const found = look(block, patterns, backward, span);
      if (found !== null) return { segment: span.segment, offset: found };
      done += block.fresh;
      if (performance.now() - told > 100) {
        told = performance.now();
        postMessage({ done, of });
      }
    }
  }
  return null;
}

/** What is to be read, in its order: from here to the end, then from the other end to here; or the reverse. */
function* spansFrom(parts, { segment, offset }, backward) {
  const whole = parts.map((part, index) => ({ ...part, segment: index, begin: part.first, end: part.size }));
  const before = [...whole.slice(0, segment), { ...whole[segment], end: Math.max(offset, parts[segment].first) }];
  const after = [{ ...whole[segment], begin: Math.max(offset, parts[segment].first) }, ...whole.slice(segment + 1)];
  const order = backward ? [...before.reverse(), ...after.reverse()] : [...after, ...before];
  for (const span of order) if (span.begin < span.end) yield span;
}

/** Blocks with whole lines, but where a line is longer than a block. The next is fetched while one is looked at. */
async function* blocksOf({ url, begin, end }, backward) {
  let at = backward ? end : begin;
  let rest = new Uint8Array(0);
  const range = () => (backward ? [Math.max(at - BLOCK, begin), at] : [at, Math.min(at + BLOCK, end)]);
  let coming = fetchRange(url, ...range());
  while (backward ? at > begin : at < end) {
    const [first, last] = range();
    const bytes = await coming;
    at = backward ? first : last;
    const more = backward ? at > begin : at < end;
    if (more) {
      coming = fetchRange(url, ...range());
      coming.catch(() => {}); // told when it is awaited
    }
    const start = backward ? first : first - rest.length;
    const whole = backward ? joined(bytes, rest) : joined(rest, bytes);
    let [from, to] = [0, whole.length];
    if (more && whole.length < 2 * BLOCK) {
      if (backward) from = whole.indexOf(NEWLINE) + 1;
      else to = whole.lastIndexOf(NEWLINE) + 1;
    }
    rest = backward ? whole.slice(0, from) : whole.slice(to);
    yield { bytes: whole.subarray(from, to), start: start + from, fresh: bytes.length };
  }
}

/** Where the first (or last) line begins in which the pattern is found; null where there is none. */
function look({ bytes, start }, { exact, hint }, backward, { begin }) {
  const text = withoutEscapes(decode(bytes));
  if (hint && !hint.test(text)) return null;
  const at = backward ? lastMatch(text, exact) : firstMatch(text, exact);
  if (at < 0) return null;
  let newlines = 0;
  for (let i = text.indexOf("\n"); i >= 0 && i < at; i = text.indexOf("\n", i + 1)) newlines += 1;
  let offset = 0;
  for (let i = 0; i < newlines; i += 1) offset = bytes.indexOf(NEWLINE, offset) + 1;
  return Math.max(start + offset, begin);
}

function firstMatch(text, pattern) {
  pattern.lastIndex = 0;
  return pattern.exec(text)?.index ?? -1;
}

function lastMatch(text, pattern) {
  let last = -1;
  pattern.lastIndex = 0;
  for (const found of text.matchAll(pattern)) last = found.index;
  return last;
}

async function fetchRange(url, begin, end) {
  const answer = await fetch(url, { headers: { range: `bytes=${begin}-${end - 1}` } });
  if (!answer.ok) throw new Error(answer.status === 401 ? "your session has ended" : `the daemon answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

function joined(one, other) {
  if (!one.length) return other;
  if (!other.length) return one;
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
