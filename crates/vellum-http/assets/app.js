// The console's script: what cannot be done with links and forms alone.
// Asking, reading and moving about work without it.
"use strict";

const root = document.body.dataset.root || "./";

for (const select of document.querySelectorAll("select[data-submit]")) {
  select.addEventListener("change", () => select.form.submit());
}

const ask = document.querySelector("form.ask");
if (ask) {
  const button = ask.querySelector("button");
  const label = button.textContent;
  ask.addEventListener("submit", () => {
    button.disabled = true;
    button.textContent = "Asking…";
  });
  // The browser's back button restores the page as it was left.
  addEventListener("pageshow", () => {
    button.disabled = false;
    button.textContent = label;
  });
}

/** Returns what a problem document says. */
function told(problem) {
  return [problem.detail, problem.hint].filter(Boolean).join(" – ");
}

/** Sends a request that changes something; returns a message when it was refused. */
async function send(path, body) {
  const options = { method: "POST", headers: { accept: "application/json" } };
  if (body) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  try {
    const response = await fetch(root + path, options);
    if (response.ok) return null;
    return told(await response.json());
  } catch (error) {
    return "The server does not answer.";
  }
}

const feedback = document.querySelector("form[data-feedback]");
if (feedback) {
  const answer = JSON.parse(feedback.dataset.feedback);
  const told = feedback.querySelector(".told");
  const comment = feedback.querySelector("input");
  let verdict = null;
  const give = async (thanks) => {
    const body = { ...answer, verdict };
    if (comment.value.trim()) body.comment = comment.value.trim();
    const refused = await send("api/v1/feedback", body);
    told.textContent = refused === null ? thanks : refused;
    return refused === null;
  };
  for (const button of feedback.querySelectorAll("[data-verdict]")) {
    button.addEventListener("click", async () => {
      verdict = button.dataset.verdict;
      if (verdict === "up") comment.value = "";
      if (!(await give("Noted."))) return;
      for (const other of feedback.querySelectorAll("[data-verdict]")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      feedback.querySelector(".more").hidden = verdict === "up";
    });
  }
  feedback.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (verdict !== null && (await give("Thank you."))) feedback.querySelector(".more").hidden = true;
  });
  feedback.hidden = false;
}

const start = document.querySelector("form[data-start]");
if (start) {
  start.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = start.querySelector("button");
    const message = start.querySelector(".form-error");
    const fields = new FormData(start);
    const collection = String(fields.get("collection"));
    button.disabled = true;
    message.hidden = true;
    const refused = await send(`api/v1/collections/${encodeURIComponent(collection)}/jobs`, {
      source: String(fields.get("source")).trim(),
      prune: fields.get("prune") !== null,
    });
    button.disabled = false;
    if (refused === null) {
      location.assign(`${root}jobs?collection=${encodeURIComponent(collection)}`);
      return;
    }
    message.textContent = refused;
    message.hidden = false;
  });
}

function show(job, item) {
  const live = job.progress;
  if (!live) return;
  const bar = item.querySelector("[data-bar]");
  if (live.listed > 0) {
    bar.max = live.listed;
    bar.value = live.settled;
  }
  if (job.state === "queued") {
    item.querySelector("[data-line]").textContent = "waits for another job of the collection";
    return;
  }
  if (job.state === "waiting") {
    item.querySelector("[data-state]").textContent = job.state;
    item.querySelector("[data-line]").textContent = `waiting: ${job.error}`;
    return;
  }
  item.querySelector("[data-state]").textContent = job.state;
  const parts = [`${live.settled} of ${live.listed}${live.listing_done ? "" : "+"} documents`];
  if (live.chunks_per_s > 0) parts.push(`${live.chunks_per_s.toFixed(0)} chunks/s`);
  if (live.remaining_s !== null) parts.push(`about ${Math.ceil(live.remaining_s)} s left`);
  if (live.current.length > 0) parts.push(live.current[0]);
  item.querySelector("[data-line]").textContent = parts.join(" · ");
}

// A browser opens six connections to a server; the others must stay free for pages.
const watched = [...document.querySelectorAll("[data-live]")].slice(0, 3);
for (const item of watched) {
  const path = `api/v1/jobs/${item.dataset.job}`;
  const events = new EventSource(`${root}${path}/events`);
  events.addEventListener("progress", (event) => show(JSON.parse(event.data), item));
  events.addEventListener("done", () => {
    events.close();
    location.reload();
  });
}

/** Sends an order and follows its events; returns a message when it failed. */
async function follow(path, body, show) {
  const headers = { accept: "text/event-stream", "content-type": "application/json" };
  try {
    const response = await fetch(root + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) return told(await response.json());
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ; ) {
      const { value, done } = await reader.read();
      if (done) return "The server ended before the work was done.";
      text += value;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const event = text.slice(0, end);
        text = text.slice(end + 2);
        const name = /^event: (.*)$/m.exec(event);
        const data = /^data: (.*)$/m.exec(event);
        // A comment keeps the connection.
        if (!name || !data) continue;
        if (name[1] === "done") return null;
        if (name[1] === "error") return told(JSON.parse(data[1]));
        show(JSON.parse(data[1]));
      }
    }
  } catch (error) {
    return "The server does not answer.";
  }
}

/** Returns the order that a form makes: what it names, and the fields that are filled in. */
function order(form) {
  const body = JSON.parse(form.dataset.body || "{}");
  for (const field of form.elements) {
    if (!field.name) continue;
    if (field.type === "checkbox") body[field.name] = field.checked;
    else if (field.value.trim()) {
      body[field.name] = field.type === "number" ? Number(field.value) : field.value.trim();
    }
  }
  return body;
}

for (const form of document.querySelectorAll("form[data-send], form[data-follow]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    const message = form.querySelector(".form-error");
    const bar = form.querySelector("progress");
    button.disabled = true;
    message.hidden = true;
    if (bar) bar.hidden = false;
    const refused = form.dataset.send
      ? await send(form.dataset.send, order(form))
      : await follow(form.dataset.follow, order(form), (step) => {
          bar.max = step.of;
          bar.value = step.done;
        });
    if (refused === null) {
      location.reload();
      return;
    }
    button.disabled = false;
    if (bar) bar.hidden = true;
    message.textContent = refused;
    message.hidden = false;
  });
}

for (const button of document.querySelectorAll("[data-order]")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    const item = button.closest("[data-job]");
    const refused = await send(`api/v1/jobs/${item.dataset.job}/${button.dataset.order}`);
    // A live job tells by its events that it has stopped.
    if (refused || button.dataset.order === "resume") location.reload();
  });
}
