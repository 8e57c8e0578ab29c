// Text that others wrote, for the page: of its own direction, with marks in place of what is not seen.
// Knows characters and nodes. What it makes is text nodes alone; nothing is ever read as HTML.

const MARKED =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/gu;

// A fragment: the text, with a mark for each control or sign of direction.
export function marked(text) {
  const made = document.createDocumentFragment();
  let end = 0;
  for (const found of text.matchAll(MARKED)) {
    made.append(text.slice(end, found.index), mark(found[0]));
    end = found.index + found[0].length;
  }
  made.append(text.slice(end));
  return made;
}

// <bdi>: the same, so that it cannot change the direction of what stands around it.
export function stranger(text) {
  const made = document.createElement("bdi");
  made.append(marked(String(text)));
  return made;
}

function mark(character) {
  const made = document.createElement("span");
  made.className = "mark";
  made.textContent = `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  return made;
}
