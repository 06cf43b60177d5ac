"use strict";
/* Keeps the calls for help at the top of the desk fresh, and rings when one comes. */
(() => {
  const box = document.getElementById("calls");
  const EVERY_MS = 3000, ANSWER_MS = 5000, HZ = 880, AT_S = [0, 0.35, 0.7];
  const calls = (where) => [...where.querySelectorAll("[data-call]")].map((each) => each.dataset.call);
  let known = new Set(calls(box));

  function ring() {
    const audio = new AudioContext();
    for (const at of AT_S) {
      const tone = audio.createOscillator(), loudness = audio.createGain();
      tone.frequency.value = HZ;
      loudness.gain.setValueAtTime(0.25, audio.currentTime + at);
      loudness.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + at + 0.3);
      tone.connect(loudness).connect(audio.destination);
      tone.start(audio.currentTime + at);
      tone.stop(audio.currentTime + at + 0.3);
    }
    setTimeout(() => audio.close(), 2000);
  }

  async function look() {
    try {
      const answer = await fetch(box.dataset.url, {
        cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (answer.ok && !answer.redirected) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
        const now = calls(fresh);
        // A button that has the focus stays where it is.
        if (!box.contains(document.activeElement)) box.replaceChildren(...fresh.childNodes);
        if (now.some((each) => !known.has(each))) {
          box.dataset.rang = String(Number(box.dataset.rang || 0) + 1);
          ring();
        }
        known = new Set(now);
      }
    } catch { /* no answer: the bar of the page says so where it matters */ }
    setTimeout(look, EVERY_MS);
  }
  setTimeout(look, EVERY_MS);
})();
