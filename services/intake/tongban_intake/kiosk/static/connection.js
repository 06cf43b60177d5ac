"use strict";
/* Keeps a page while the connection to the service is lost, instead of the browser's error page. What
   was typed stays. A form that has effects is sent, and sent again, with the same key, so that it takes
   effect once; everything else is opened once the service answers. */
window.connection = (() => {
  const bar = document.getElementById("connection");
  const FIRST_MS = 1000, LONGEST_MS = 8000, ANSWER_MS = 12_000, PROBE_MS = 5000, MANY = 8;
  const GATEWAY = [502, 503, 504];
  let newest = 0; // the number of what a person has asked for last: it replaces what is tried before
  let wake = () => {};

  const pause = (ms) => new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, ms * (0.8 + 0.4 * Math.random()));
  });
  window.addEventListener("online", () => wake());

  function say(what) {
    bar.querySelector("p").textContent = bar.dataset[what];
    bar.hidden = false;
  }

  function asked() {
    const mine = ++newest;
    return () => mine === newest;
  }

  /* Try until there is an answer, with exponential back-off; null once it is not `wanted` any more. A
     form is given up after many answers of a gateway, which may be about the form itself. */
  async function until(attempt, wanted, what = "lost") {
    for (let tries = 0; wanted(); tries++) {
      try {
        const answer = await attempt();
        if (!GATEWAY.includes(answer.status) || (what === "sending" && tries >= MANY)) {
          if (!wanted()) return null;
          bar.hidden = true;
          return answer;
        }
      } catch { /* no answer */ }
      if (!wanted()) return null;
      say(what);
      await pause(Math.min(FIRST_MS * 2 ** tries, LONGEST_MS));
    }
    return null;
  }

  const probe = () => fetch(bar.dataset.url, { cache: "no-store", signal: AbortSignal.timeout(PROBE_MS) });
  const answers = () => until(probe, asked());

  function post(form, submitter) {
    const body = new URLSearchParams(new FormData(form, submitter));
    return until(() => fetch(form.action, {
      method: "POST", body, credentials: "same-origin", signal: AbortSignal.timeout(ANSWER_MS),
    }), asked(), "sending");
  }

  /* As the browser sends it, without asking here again. */
  function send(form, submitter) {
    let pressed = null;
    if (submitter?.name) {
      pressed = document.createElement("input");
      pressed.type = "hidden";
      pressed.name = submitter.name;
      pressed.value = submitter.value;
      form.append(pressed);
    }
    form.submit();
    pressed?.remove();
  }

  async function submitted(form, submitter) {
    if (form.matches("[data-resend]") && (!submitter?.name || submitter.dataset.effect !== undefined)) {
      const answer = await post(form, submitter);
      if (answer?.redirected) location.assign(answer.url);
      // The page that refuses it, or asks: the same key makes this a repeat.
      else if (answer) send(form, submitter);
    } else if (await answers()) send(form, submitter);
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !bar) return;
    event.preventDefault();
    submitted(form, event.submitter);
  });

  document.addEventListener("click", async (event) => {
    const link = event.target.closest?.("a[href]");
    const plain = !event.defaultPrevented && event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey);
    if (!bar || !link || !plain || link.target || link.origin !== location.origin) return;
    if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
    event.preventDefault();
    if (await answers()) location.assign(link.href);
  });

  /* The visit is over: nothing of it stays in sight while the service cannot be reached. */
  async function leave(go) {
    const main = document.getElementById("main");
    for (const form of document.forms) form.reset();
    main.hidden = true;
    if (await until(probe, asked(), "ended")) go();
  }

  /* A stream that was interrupted: said if the service does not answer either. */
  async function interrupted() {
    const before = newest;
    return Boolean(await until(probe, () => before === newest));
  }

  return { leave, interrupted };
})();
