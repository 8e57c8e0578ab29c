// Buttons that call a method of the API, and what is said of it.
// Knows `data-call` and its kin. Must not know any page. Whoever may not is refused by the daemon, and told so.

// The answer of a method. Throws an Error with `message`, `code` and `status`.
export async function call(method, body = {}, options = {}) {
  let answer;
  try {
    answer = await fetch(`/web/api/${method}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Phased": "1" },
      body: JSON.stringify(body),
      ...options,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("The daemon does not answer. Is it running?"), { status: 0, code: "" });
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  const message = answer.status === 401 ? "Your session has ended. Run `phased web` again." : said.message;
  throw Object.assign(new Error(message ?? `The daemon answered ${answer.status}.`), {
    status: answer.status,
    code: said.code ?? "",
  });
}

// Shows a message in the corner; a screen reader reads it. Bad ones stay until they are clicked.
export function say(text, bad = false) {
  const place = document.getElementById("said");
  const line = document.createElement("p");
  line.textContent = text;
  line.classList.toggle("bad", bad);
  const close = document.createElement("button");
  close.type = "button";
  close.className = "quiet";
  close.textContent = "Close";
  close.addEventListener("click", () => line.remove());
  line.append(" ", close);
  place.append(line);
  while (place.childElementCount > 4) place.firstElementChild.remove();
  if (!bad) setTimeout(() => line.remove(), 6000);
}

// Buttons below a node call what they say, also those that come later.
export function listen(root) {
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-call]");
    if (button && button.getAttribute("aria-busy") !== "true") press(button);
  });
}

async function press(button) {
  const { call: method, body, then, confirm: question, done } = button.dataset;
  if (question && !window.confirm(question)) return;
  button.setAttribute("aria-busy", "true");
  try {
    const answer = await call(method, JSON.parse(body ?? "{}"));
    if (done) say(done);
    if (then) location.assign(then.replace(/\{([\w.]+)\}/g, (_, path) => encodeURIComponent(at(answer, path))));
  } catch (error) {
    say(error.message, true);
  } finally {
    button.removeAttribute("aria-busy");
    button.closest("details.menu")?.removeAttribute("open");
  }
}

function at(value, path) {
  return path.split(".").reduce((inner, name) => inner?.[name], value) ?? "";
}
