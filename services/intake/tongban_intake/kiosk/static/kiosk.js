"use strict";
/* What a page can do better with a script. Everything works without. */

// A second press of a button that hands something in does nothing; the server would not mind it.
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
  // Back from the next page, it may be pressed again.
  window.addEventListener("pageshow", () => { delete form.dataset.sent; if (button) button.disabled = false; }, { once: true });
});

// To the field that is wrong.
const wrong = document.querySelector(".field.bad input, .field.bad select, .field.bad textarea");
if (wrong) wrong.focus();

// A PIN is tapped in as well as typed.
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

// Nobody is there: a lobby manager who has signed in is signed out, which ends at home as well.
const assists = document.querySelector("form[data-idle-out]");
function leave() {
  if (assists) assists.submit();
  else location.replace("/kiosk");
}
if (assists) {
  const seconds = Number(assists.dataset.idleOut);
  let used = Date.now();
  for (const kind of ["pointerdown", "keydown", "wheel", "touchstart", "input"]) {
    document.addEventListener(kind, () => { used = Date.now(); }, { passive: true });
  }
  setInterval(() => { if (Date.now() - used >= seconds * 1000) leave(); }, 1000);
}

// A personal page that nobody touches goes home.
const idle = Number(document.body.dataset.idle || 0);
const dialog = document.getElementById("idle");
if (idle && dialog) {
  const warning = Math.min(15, idle);
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
