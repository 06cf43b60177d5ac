"use strict";
/* In large type a form asks one question at a time. Without scripts it is one long page. */
(() => {
  const form = document.getElementById("apply");
  if (!form || !form.querySelector(".field")) return;
  const submit = form.querySelector(".actions .primary");
  const cancel = form.querySelector(".actions a");
  const { next, back, step } = form.dataset;

  const whole = ".field, .switch, .choices.wide, .materials";
  const questions = () => [...form.querySelectorAll(whole)]
    .filter((each) => !each.parentElement.closest(whole))
    .filter((each) => !each.closest(".who") || getComputedStyle(each.closest(".who")).display !== "none")
    .filter((each) => !each.classList.contains("assistant") || document.getElementById("assisted").checked);
  if (!questions().length) return;

  const bar = document.createElement("div");
  bar.className = "actions one-by-one";
  const count = document.createElement("p");
  count.setAttribute("aria-live", "polite");
  const before = document.createElement("button");
  before.type = "button";
  before.className = "button ghost";
  before.textContent = back;
  const after = document.createElement("button");
  after.type = "button";
  after.className = "button primary";
  after.textContent = next;
  bar.append(before, count, after);
  form.querySelector(".actions").before(bar);
  form.classList.add("by-one");

  let now = 0;
  function show(to) {
    const all = questions();
    now = Math.max(0, Math.min(to, all.length - 1));
    for (const each of form.querySelectorAll(whole)) each.classList.remove("question", "now");
    for (const each of form.querySelectorAll(".block")) each.classList.remove("around");
    all[now].classList.add("question", "now");
    all[now].closest(".block").classList.add("around");
    count.textContent = step.replace("{now}", now + 1).replace("{all}", all.length);
    before.hidden = now === 0;
    cancel.hidden = now > 0;
    const last = now === all.length - 1;
    after.hidden = last;
    submit.hidden = !last;
    document.dispatchEvent(new CustomEvent("question"));
  }
  function go(by) {
    show(now + by);
    window.scrollTo({ top: 0 });
    const field = questions()[now].querySelector("input:not([type=hidden]), select, textarea");
    if (field && !field.matches("[type=radio], [type=checkbox]")) field.focus();
  }
  before.addEventListener("click", () => go(-1));
  after.addEventListener("click", () => go(1));
  // Enter goes on, as it does where a form is submitted.
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.matches("textarea, button, a") || submit.hidden === false) return;
    event.preventDefault();
    go(1);
  });
  form.addEventListener("change", () => show(now));
  const wrong = questions().findIndex((each) => each.classList.contains("bad"));
  show(wrong < 0 ? 0 : wrong);
})();
