"use strict";
/* Improves pages that also work without scripts. */

// Ignore a second press of a submit button. The server would recognise the repeat, too.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  const button = event.submitter;
  if (button) setTimeout(() => { button.disabled = true; });
  // After going back to this page, the button may be pressed again.
  window.addEventListener("pageshow", () => { delete form.dataset.sent; if (button) button.disabled = false; }, { once: true });
});

// Scroll to the first wrong field.
const wrong = document.querySelector(".field.bad input, .field.bad select, .field.bad textarea");
if (wrong) wrong.focus();

// Buttons to tap a PIN in, beside typing it.
for (const pad of document.querySelectorAll(".keypad")) {
  const field = document.getElementById(pad.dataset.for);
  pad.hidden = false;
  pad.addEventListener("click", (event) => {
    const key = event.target.closest("button")?.value;
    if (!key) return;
    if (key === "clear") field.value = "";
    else if (key === "back") field.value = field.value.slice(0, -1);
    else if (field.value.length < field.maxLength) field.value += key;
  });
}

// An idle page signs a lobby manager out, which leads home as well.
const assists = document.querySelector("form[data-idle-out]");
let left = false;
function leave() {
  if (left) return;
  left = true;
  if (dialog?.open) dialog.close();
  sessionStorage.removeItem("aloud"); // the next person has not asked for it
  connection.leave(() => {
    if (assists) assists.submit();
    else location.replace("/kiosk?over=1");
  });
}
if (assists) {
  const seconds = Number(assists.dataset.idleOut);
  let used = Date.now();
  for (const kind of ["pointerdown", "keydown", "wheel", "touchstart", "input"]) {
    document.addEventListener(kind, () => { used = Date.now(); }, { passive: true });
  }
  setInterval(() => { if (Date.now() - used >= seconds * 1000) leave(); }, 1000);
}

// An untouched personal page goes home.
const idle = Number(document.body.dataset.idle || 0);
const dialog = document.getElementById("idle");
if (idle && dialog) {
  // Who reads large type is asked earlier, and has a minute to answer.
  const large = document.documentElement.classList.contains("large");
  const warning = Math.min(large ? 60 : 15, idle / 2);
  let touched = Date.now();
  const stay = () => { touched = Date.now(); if (dialog.open) dialog.close(); };
  for (const kind of ["pointerdown", "keydown", "wheel", "touchstart", "input"]) {
    document.addEventListener(kind, () => { if (!dialog.open) touched = Date.now(); }, { passive: true });
  }
  document.getElementById("idle-stay").addEventListener("click", stay);
  dialog.addEventListener("close", stay);
  setInterval(() => {
    const left = idle - Math.floor((Date.now() - touched) / 1000);
    if (left <= 0) leave();
    else if (left <= warning) {
      document.getElementById("idle-left").textContent = left;
      if (!dialog.open) dialog.showModal();
    }
  }, 500);
}
