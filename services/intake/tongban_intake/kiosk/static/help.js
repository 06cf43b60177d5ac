"use strict";
/* Calls the lobby manager without leaving the page, so that nothing typed is lost. Without scripts the
   form is posted, and the answer leads back to the page. */
(() => {
  const ANSWER_MS = 8000;

  async function ask(form, body) {
    const answer = await fetch(form.action, {
      method: "POST", body, credentials: "same-origin", signal: AbortSignal.timeout(ANSWER_MS),
    });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return answer.ok ? page.getElementById("help") : null;
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.id !== "help") return;
    event.preventDefault();
    event.stopImmediatePropagation(); // the lost connection is told here
    const button = event.submitter;
    const body = new URLSearchParams(new FormData(form, button)); // has no disabled button's value
    if (button) button.disabled = true;
    let fresh = null;
    try { fresh = await ask(form, body); } catch { /* no answer */ }
    if (fresh === null) {
      form.querySelector("p").textContent = form.dataset.failed;
      if (button) button.disabled = false;
    } else {
      form.replaceWith(document.adoptNode(fresh));
    }
  }, true);
})();
