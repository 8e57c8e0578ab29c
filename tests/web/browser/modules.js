// Checks of the modules that need no page, run in one. Each throws where something is not as it should be.
// The text is evaluated inside a function: it has no imports of its own.

let seed = 7;

function random() {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return seed / 2147483648;
}

function same(found, wanted, what) {
  const [one, other] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (one !== other) throw new Error(`${what}: ${one.slice(0, 500)} is not ${other.slice(0, 500)}`);
}

const checks = (folder) => ({
  async text_is_what_a_terminal_would_show() {
    const { parseLine } = await import(`${folder}log-text.js`);
    const shown = (text) => parseLine(text).spans.map((one) => (one.mark ? `<${one.text}>` : one.text)).join("|");
    const cases = {
      "plain": "plain",
      "": "",
      "a\x1b[31mred\x1b[0m b": "a|red| b",
      "10%\r20%\r100%": "100%",
      "abc\b\bX": "aXc",
      "hello\r\x1b[Kbye": "bye",
      "windows\r": "windows",
      "x\x1b]0;title\x07y": "xy",
      "x\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\": "xlink",
      "\x1b]0;never ended": "0;never ended",
      "a\u202eb\u2066c": "a|<RLO>|b|<LRI>|c",
      "a\u2028b": "a|<LS>|b",
      "\x1b[2J\x1b[H\x1b[999Ax": "x",
      "\x1b[5Cx": "     x",
      "a\tb": "a       b",
      "nul\0x": "nul|<\u2400>|x",
      "\x1b[31": "31",
    };
    for (const [text, wanted] of Object.entries(cases)) same(shown(text), wanted, JSON.stringify(text));
  },

  async styles_are_those_that_were_asked_for() {
    const { parseLine, cssColour } = await import(`${folder}log-text.js`);
    const styles = (text) => parseLine(text).spans.map((one) => one.style);
    same(styles("\x1b[1;38;2;1;2;3mx\x1b[48;5;200my\x1b[22mz"), [
      { bold: true, fg: "#010203" },
      { bold: true, fg: "#010203", bg: 200 },
      { fg: "#010203", bg: 200 },
    ], "styles");
    same(styles("\x1b[38;5;999mx\x1b[38;2;1m\x1b[?25hy"), [null], "what is no colour");
    same(parseLine("\x1b[31mopen").style, { fg: 1 }, "what the next line begins with");
    same([cssColour(5), cssColour(196), cssColour(240)], [null, "rgb(255 0 0)", "rgb(88 88 88)"], "colours");
  },

  async rows_have_room_for_what_is_in_them() {
    const { cutRows, parseLine } = await import(`${folder}log-text.js`);
    const rows = (text, columns) => cutRows(parseLine(text).spans, columns).map((row) => row.map((one) => one.text).join(""));
    same(rows("", 5), [""], "nothing");
    same(rows("abcdef", 4), ["abcd", "ef"], "letters");
    same(rows("\u6f22\u5b57ab", 3), ["\u6f22", "\u5b57a", "b"], "wide ones");
    same(rows("\u6f22\u5b57", 1), ["\u6f22", "\u5b57"], "wider than the room");
    same(rows("e\u0301e\u0301", 1), ["e\u0301", "e\u0301"], "accents stay");
  },

  async lines_are_the_same_from_wherever_they_are_read() {
    const { CHUNK, Segment, Source } = await import(`${folder}log-source.js`);
    const get = async (source, find) => {
      for (let tries = 0; tries < 10; tries += 1) {
        const found = find();
        if (found !== undefined) return found;
        await source.loadMissing();
      }
      throw new Error("it never came");
    };
    const length = () => {
      const kind = random();
      if (kind < 0.5) return random() * 80;
      if (kind < 0.8) return random() * 5000;
      return kind < 0.9 ? CHUNK - 2 + random() * 4 : random() * 5 * CHUNK;
    };
    const bytesOf = (text) => new TextEncoder().encode(text);
    const randomLog = () => bytesOf(Array.from({ length: random() * 40 }, (_, at) =>
      String.fromCharCode(97 + (at % 26)).repeat(length()) + (random() < 0.95 ? "\n" : "")).join(""));
    const startsOf = (bytes) => {
      const starts = new Set(bytes.length ? [0] : []);
      for (let at = 0; at < bytes.length - 1; at += 1) if (bytes[at] === 10) starts.add(at + 1);
      for (let at = CHUNK; at < bytes.length; at += CHUNK) {
        if (!bytes.subarray(at - CHUNK, at).includes(10)) starts.add(at);
      }
      return [...starts].sort((one, other) => one - other);
    };
    for (let round = 0; round < 20; round += 1) {
      const headings = round % 2 === 0;
      const logs = [randomLog(), round % 3 ? randomLog() : new Uint8Array(0), randomLog()];
      const segments = logs.map((bytes, at) => new Segment({ id: at, label: "", url: at, size: bytes.length }));
      const source = new Source(segments, async (url, begin, end) => logs[url].slice(begin, end), { headings });
      const wanted = logs.flatMap((bytes, at) => [...(headings ? [-1] : []), ...startsOf(bytes)].map((one) => `${at}:${one}`));
      const forward = [];
      for (let line = source.first; line; line = await get(source, () => source.next(line))) {
        forward.push(`${line.segment}:${line.offset}`);
        await get(source, () => source.rowsOf(line));
      }
      same(forward, wanted, "forward");
      const back = [];
      for (let line = await get(source, () => source.lastOf(2)); line; line = await get(source, () => source.previous(line))) {
        back.unshift(`${line.segment}:${line.offset}`);
      }
      same(back, wanted, "back");
      const more = bytesOf("more\nand more");
      const grown = new Uint8Array([...logs[2], ...more]);
      logs[2] = grown;
      source.resize(2, grown.length, 0, 1);
      const last = await get(source, () => source.lineAt(2, grown.length - 1));
      same(last.offset, startsOf(grown).at(-1), "the last line when it has grown");
    }
  },
});
