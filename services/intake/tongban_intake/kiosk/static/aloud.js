"use strict";
/* Reads the page aloud, with the browser's own voice: first what is in front, then what is touched. */
(() => {
  const button = document.getElementById("aloud");
  if (!button || !window.speechSynthesis) return;
  const language = document.documentElement.lang;
  const spoken = "h1, h2, h3, p, li, label, legend, dt, dd, strong, td, th, button, a";
  const on = () => button.getAttribute("aria-pressed") === "true";

  function say(text) {
    speechSynthesis.cancel();
    const words = text.replace(/\s+/g, " ").trim();
    if (!words) return;
    const utterance = new SpeechSynthesisUtterance(words);
    utterance.lang = language;
    utterance.rate = 0.9;
    speechSynthesis.speak(utterance);
  }

  // One question at a time, where the page shows them so; else its heading and what it says first.
  function inFront() {
    const question = document.querySelector(".question.now");
    if (question) return question.innerText;
    return [...document.querySelectorAll("main h1, main [role=alert], main .state")]
      .map((each) => each.innerText).join("。");
  }

  function turn(to) {
    button.setAttribute("aria-pressed", String(to));
    sessionStorage.setItem("aloud", to ? "yes" : "");
    if (to) say(inFront());
    else speechSynthesis.cancel();
  }

  button.hidden = false;
  button.addEventListener("click", () => turn(!on()));
  document.addEventListener("pointerdown", (event) => {
    const touched = event.target.closest(spoken);
    if (on() && touched && !touched.closest("#aloud")) say(touched.innerText);
  }, { passive: true });
  document.addEventListener("question", () => { if (on()) say(inFront()); });
  window.addEventListener("pagehide", () => speechSynthesis.cancel());
  if (sessionStorage.getItem("aloud")) turn(true);
})();
