// Make a piece of a page equal to a newer one with as few changes as it takes: focus, scrolling, selections and
// opened details stay. Knows the DOM. Must not know pages.
// Children are matched by `id`, `data-key` or what a button calls (else Start became Stop below a finger), and
// those without by kind and place. What bears `data-keep` is left alone.

const KEPT = { DETAILS: ["open"], INPUT: ["value"], DIALOG: ["open"] };

const SLICE = 20; // milliseconds of work between two frames

// Resolves when all is equal; a large piece takes several frames.
export async function morph(old, fresh) {
  const focused = document.activeElement;
  const work = change(old, fresh);
  for (let began = performance.now(); !work.next().done; ) {
    if (performance.now() - began < SLICE) continue;
    await breath();
    began = performance.now();
  }
  const lost = document.activeElement === null || document.activeElement === document.body;
  if (focused && lost && focused.isConnected) focused.focus({ preventScroll: true });
}

// Let the browser show what there is and heed who uses it.
export function breath() {
  return new Promise((go) => setTimeout(go));
}

function* change(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old.hasAttribute("data-keep") || old.isEqualNode(fresh)) return;
  changeAttributes(old, fresh);
  yield* changeChildren(old, fresh);
}

function changeAttributes(old, fresh) {
  const kept = KEPT[old.nodeName] ?? [];
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !kept.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !kept.includes(name)) old.setAttribute(name, value);
  }
}

function* changeChildren(old, fresh) {
  const keyed = new Map();
  for (const child of old.children) {
    const key = keyOf(child);
    if (key) keyed.set(key, child);
  }
  let at = old.firstChild;
  for (const child of fresh.childNodes) {
    const key = keyOf(child);
    const match = key ? keyed.get(key) : at && !keyOf(at) && at.nodeName === child.nodeName ? at : undefined;
    if (!match || match.nodeName !== child.nodeName) {
      old.insertBefore(document.importNode(child, true), at);
      yield;
      continue;
    }
    if (match === at) at = at.nextSibling;
    else old.insertBefore(match, at);
    yield* change(match, child);
    yield;
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function keyOf(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return "";
  const { key, call, body } = node.dataset;
  return node.id || key || (call ? `${call} ${body}` : "");
}
