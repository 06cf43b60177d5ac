"use strict";
/* Shows progress as it happens: on each event, fetches the part of the page again. */
(() => {
  const live = document.getElementById("live");
  if (!live || !window.EventSource) return;
  const newest = () => Number(live.querySelector(".part").dataset.newest);
  let wanted = newest();
  let timer = null;

  // Keep a document that is shown already: loading it again would flicker.
  function show(html) {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    for (const kept of live.querySelectorAll("[data-document]")) {
      const next = fresh.content.querySelector(`[data-document="${CSS.escape(kept.dataset.document)}"]`);
      if (next) next.replaceWith(kept);
    }
    live.replaceChildren(fresh.content);
  }

  // The read model may be behind this event, for some seconds while replicas start and stop: request
  // the part again until it shows the event. Events that arrive meanwhile do not end this earlier.
  let left = 0;
  function refresh(after, tries) {
    left = Math.max(left, tries);
    clearTimeout(timer);
    timer = setTimeout(async () => {
      left -= 1;
      try {
        // Do not replace a form that a person is filling in.
        const busy = live.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
        if (!busy) {
          const answer = await fetch(live.dataset.url + "?part=1", { credentials: "same-origin" });
          if (answer.ok) show(await answer.text());
        }
        if (busy || newest() < wanted) again(400);
      } catch { again(1500); }
    }, after);
  }
  function again(after) { if (left > 0) refresh(after, left); }

  const RECONNECT_MS = 3000;
  let source = null, ended = false;
  function listen() {
    source = new EventSource(live.dataset.url + "/events");
    source.addEventListener("status", onStatus);
    for (const kind of ["print", "message"]) source.addEventListener(kind, onOther);
    source.addEventListener("end", () => { source.close(); ended = true; refresh(300, 3); });
    source.addEventListener("error", interrupted);
  }

  // A replica that stops ends its streams, and the browser connects again, to another one. Only if it
  // cannot, the page says so; the part is fetched again, for what has happened meanwhile.
  let checking = null;
  function interrupted() {
    checking ??= setTimeout(async () => { // each try of the browser is an error again
      checking = null;
      if (ended || source.readyState === EventSource.OPEN) return;
      if (!await connection.interrupted()) return;
      if (source.readyState === EventSource.CLOSED) listen();
      refresh(0, 3);
    }, RECONNECT_MS);
  }

  function onStatus(event) {
    wanted = Math.max(wanted, Number(event.lastEventId));
    if (newest() < wanted) refresh(120, 50);
  }

  // These events have no number to wait for.
  function onOther() {
    refresh(350, 3);
    for (const later of [1500, 4000, 10000]) setTimeout(() => refresh(0, 3), later);
  }
  listen();
})();
