"use strict";
/* Shows what is found while a person types, from the first letter on. */
(() => {
  const list = document.getElementById("suggestions");
  const field = document.querySelector("[role=search] input[type=search]");
  if (!list || !field) return;
  const AFTER_MS = 120, MOST_KEPT = 100;
  const kept = new Map();
  let spelling = "", wanted = "", timer = null;

  function hit({ name, where, link }) {
    const made = document.createElement("a");
    made.className = "hit";
    made.href = link;
    const title = document.createElement("strong"), place = document.createElement("span");
    title.textContent = name;
    place.textContent = where;
    made.append(title, place);
    return made;
  }

  function show(words, { hits, total }) {
    if (words !== wanted) return; // an answer that was overtaken
    list.hidden = !words;
    if (hits.length) list.replaceChildren(...hits.map(hit));
    else list.textContent = list.dataset.none;
    if (total > hits.length) {
      list.append(hit({ name: list.dataset.all.replace("{count}", total), where: "", link: `/kiosk/items?${new URLSearchParams({ q: words })}` }));
    }
  }

  async function find(words) {
    if (kept.has(words)) return show(words, kept.get(words));
    try {
      const answer = await fetch(`${list.dataset.url}?${new URLSearchParams({ q: words })}`, { credentials: "same-origin" });
      if (!answer.ok) return;
      const found = await answer.json();
      if (kept.size >= MOST_KEPT) kept.clear();
      kept.set(words, found);
      show(words, found);
    } catch { /* the search button finds the same */ }
  }

  function follow() {
    wanted = (field.value + spelling).trim();
    clearTimeout(timer);
    if (wanted) timer = setTimeout(() => find(wanted), AFTER_MS);
    else list.hidden = true;
  }
  field.addEventListener("input", follow);
  // Letters that no Chinese was chosen for yet: the search understands pinyin and initials.
  field.addEventListener("spelling", (event) => { spelling = event.detail; follow(); });
})();
