// How a phase is shown in words and signs: never by its colour alone.
// Knows the words of the API. Must not know pages.

const SIGNS = {
  waiting: "○",
  pending: "◔",
  starting: "◔",
  running: "▶",
  stopping: "■",
  succeeded: "✓",
  failed: "✕",
  stopped: "■",
  deleted: "∅",
  skipped: "○", // its execution ended before its turn
  "not-run": "○",
  interrupted: "■",
};

// "TASK_EXECUTION_PHASE_RUNNING" -> "running"; absent -> "waiting"
export function wordOf(phase) {
  const word = (phase ?? "").replace(/^.*_PHASE_|^FIRING_RESULT_/, "").toLowerCase();
  return word === "" || word === "unspecified" ? "waiting" : word;
}

export function signOf(word) {
  return SIGNS[word] ?? "?";
}

// Give an element, and what in it tells the phase, a new one. True where that changed something.
export function showPhase(element, word) {
  if (element.dataset.phase === word) return false;
  element.dataset.phase = word;
  for (const child of element.querySelectorAll("[data-phase-word]")) child.textContent = word;
  for (const child of element.querySelectorAll("[data-phase-sign]")) child.textContent = signOf(word);
  return true;
}
