"use strict";
/* The page's own keyboard, for a screen that has no other. It opens when a field is touched, on a kiosk
   set to `always` with every field. The focus stays in the field, which gets ordinary input events. */
(() => {
  const panel = document.getElementById("keyboard");
  if (!panel) return;
  const said = panel.dataset;
  const always = said.when === "always";
  const typed = "[data-keys]:not([data-keys=''])";
  const large = document.documentElement.classList.contains("large");
  const english = document.documentElement.lang === "en";
  const QWERTY = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];
  const LETTERS = ["1234567890", ...QWERTY.map((row) => row.toUpperCase())];
  // One row is one string of keys; names in angle brackets are keys that do something.
  const LAYOUTS = {
    digits: ["123<back>", "456<clear>", "789<hide>", " 0 <next>"],
    amount: ["123<back>", "456<clear>", "789<hide>", ".0 <next>"],
    id: ["123<back>", "456<clear>", "789<hide>", "X0<code><next>"],
    // Without the letters I, O, S, V and Z, which credit codes do not have.
    credit: ["1234567890", "QWERTYUP", "ADFGHJKL", "XCBNM<back>", "<hide><clear><next>"],
    code: [...LETTERS.slice(0, 3), "ZXCVBNM<back>", "<hide>-<clear><next>"],
    latin: ["1234567890", QWERTY[0], QWERTY[1], "<shift>zxcvbnm<back>", "<hide><pinyin>@.-_<space><next>"],
    email: ["1234567890", QWERTY[0], QWERTY[1], "zxcvbnm<back>", "<hide>@.-_<clear><next>"],
    text: [QWERTY[0], QWERTY[1], "<split>zxcvbnm<back>", "<hide><latin><signs><space><next>"],
    signs: ["1234567890", "，。、：；？！（）", "-/.@#《》“”", "<hide><pinyin><latin><clear><back><next>"],
  };
  const GOES_TO = { pinyin: "text", latin: "latin", signs: "signs", code: "code" };

  let field = null, layout = "", letters = "", shift = false, first = 0;
  let pointer = "", began = null, before = null, inputmode = null, loading = false;

  // --- what it looks like

  function element(name, className, text) {
    const made = document.createElement(name);
    made.className = className;
    if (text) made.textContent = text;
    return made;
  }

  const strip = element("div", "candidates");
  const spelt = element("b", "spelt");
  const choices = element("div", "found");
  const earlier = key("<earlier>"), later = key("<later>");
  strip.append(spelt, choices, earlier, later);
  const rows = element("div", "rows");
  const heard = element("p", "heard");
  heard.setAttribute("aria-live", "polite");
  panel.append(strip, rows, heard);

  function key(name) {
    if (name === " ") return element("span", "gap");
    const act = name.length > 1 ? name.slice(1, -1) : "";
    const made = element("button", act ? `key act ${act}` : "key", act ? label(act) : name);
    made.type = "button";
    made.value = act ? "" : name;
    made.dataset.act = act;
    return made;
  }

  function label(act) {
    if (act === "next") return nextLabel();
    return { code: "ABC", shift: `⇧ ${said.shift}` }[act] || said[act];
  }

  function nextLabel() {
    if (field?.form?.matches("[role=search]")) return said.search;
    return following() ? said.next : said.done;
  }

  function draw() {
    panel.dataset.layout = layout;
    strip.hidden = layout !== "text";
    rows.replaceChildren(...LAYOUTS[layout].map((row) => {
      const made = element("div", "keys");
      made.append(...(row.match(/<\w+>|./gu) || []).map((name) => key(shift && name.length === 1 ? name.toUpperCase() : name)));
      return made;
    }));
    for (const each of rows.querySelectorAll(".shift")) each.setAttribute("aria-pressed", String(shift));
    if (layout === "text") load();
    choose();
  }

  // --- opening and closing

  function layoutOf(one) {
    const kind = one.dataset.keys;
    if (kind === "text") return english ? "latin" : "text";
    if (kind === "latin") return "email";
    if (kind !== "id") return kind;
    const type = document.getElementById(one.id.replace(/id_number$/, "id_type"));
    return !type || type === one || type.value === "resident_id" ? "id" : "code";
  }

  function open(one) {
    if (field !== one) {
      close();
      field = one;
      inputmode = one.getAttribute("inputmode");
      one.setAttribute("inputmode", "none"); // the system's keyboard would open as well
      layout = layoutOf(one);
      shift = false;
      one.addEventListener("focusout", commit);
    }
    const was = panel.hidden;
    panel.hidden = false;
    draw();
    document.body.style.paddingBottom = `${panel.offsetHeight}px`;
    document.documentElement.classList.add("typing");
    if (was) heard.textContent = said.opened;
    uncover();
  }

  function close() {
    if (!field) return;
    commit();
    field.removeEventListener("focusout", commit);
    if (inputmode === null) field.removeAttribute("inputmode");
    else field.setAttribute("inputmode", inputmode);
    field = null;
    panel.hidden = true;
    document.body.style.paddingBottom = "";
    document.documentElement.classList.remove("typing");
  }

  /* Scroll until the field, with its label and its hint, is above the keyboard. */
  function uncover() {
    const room = window.innerHeight - panel.offsetHeight;
    const whole = (field.closest(".field, .search") || field).getBoundingClientRect();
    const box = whole.height < room - 16 ? whole : field.getBoundingClientRect();
    const searching = field.matches("[type=search]"); // what is found is shown below it
    if (!searching && box.top >= 0 && box.bottom <= room - 8) return;
    const top = searching ? 8 : Math.max(8, (room - box.height) / 2);
    window.scrollBy(0, box.top - top);
  }

  const byTouch = () => always || pointer === "touch";
  document.addEventListener("pointerdown", (event) => {
    pointer = event.pointerType;
    const touched = began = event.target.closest?.(typed);
    before = field;
    if (touched && byTouch() && touched !== field && !touched.hasAttribute("inputmode")) {
      touched.setAttribute("inputmode", "none");
      touched.addEventListener("blur", () => { if (touched !== field) touched.removeAttribute("inputmode"); }, { once: true });
    }
  }, { capture: true, passive: true });
  document.addEventListener("keydown", (event) => { if (event.isTrusted) pointer = "keyboard"; }, true);
  document.addEventListener("focusin", (event) => {
    if (event.target.matches(typed)) { if (byTouch()) open(event.target); }
    else if (pointer === "keyboard" && !panel.contains(event.target)) close();
  });
  // Not before the click has arrived: the page moves, and a button would slip away from the finger.
  document.addEventListener("click", (event) => {
    if (event.composedPath().includes(panel) || event.target.closest?.("label")) return;
    // The field may have moved from under the finger: what counts is where the touch began.
    const touched = began || event.target.closest?.(typed);
    if (!touched) { if (field === before) close(); } // else this click has led to another field
    else if (byTouch() && touched === document.activeElement) open(touched);
  });
  document.addEventListener("question", () => { if (field && !field.checkVisibility()) close(); });
  document.addEventListener("submit", () => { if (field) commit(); }, true);
  window.addEventListener("resize", () => {
    if (!field) return;
    document.body.style.paddingBottom = `${panel.offsetHeight}px`;
    uncover();
  });

  // --- typing

  function put(text) {
    const at = field.selectionStart === null ? null : [field.selectionStart, field.selectionEnd];
    const replaced = at ? at[1] - at[0] : 0;
    if (field.maxLength >= 0 && field.value.length - replaced + text.length > field.maxLength) return;
    if (at) field.setRangeText(text, at[0], at[1], "end");
    else field.value += text;
    tell("insertText", text);
  }

  function erase(all) {
    if (all) field.value = "";
    else if (field.selectionStart === null) field.value = [...field.value].slice(0, -1).join("");
    else {
      const { selectionStart: start, selectionEnd: end } = field;
      const one = start === end ? [...field.value.slice(0, start)].pop()?.length || 0 : 0;
      field.setRangeText("", start - one, end, "end");
    }
    tell(all ? "deleteContent" : "deleteContentBackward", null);
  }

  function tell(inputType, data) {
    field.dispatchEvent(new InputEvent("input", { bubbles: true, inputType, data }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /* Letters that no Chinese was chosen for stay as they are: a search understands pinyin. */
  function commit() {
    if (!letters || !field) return;
    const left = letters.replaceAll("'", "");
    spell("");
    put(left);
  }

  function spell(to) {
    letters = to;
    first = 0;
    choose();
    field.dispatchEvent(new CustomEvent("spelling", { bubbles: true, detail: letters.replaceAll("'", "") }));
  }

  function load() {
    if (loading) return;
    loading = true;
    for (const source of [said.tables, said.input]) {
      const script = document.createElement("script");
      script.src = source;
      script.async = false; // one after the other
      script.onload = () => { if (window.pinyinInput && field) choose(); };
      script.onerror = () => { loading = false; };
      document.head.append(script);
    }
  }

  /* Show as many of what the letters may mean as there is room for. */
  function choose() {
    if (layout !== "text") return;
    spelt.textContent = letters || said.hint;
    spelt.classList.toggle("quiet", !letters);
    choices.replaceChildren();
    const found = letters && window.pinyinInput
      ? window.pinyinInput.candidates(letters, { name: isName() && !field.value }) : [];
    let shown = first;
    for (const each of found.slice(first)) {
      const button = element("button", "key", each.text);
      button.type = "button";
      button.dataset.used = each.used;
      choices.append(button);
      if (choices.scrollWidth > choices.clientWidth + 1 && shown > first) { button.remove(); break; }
      shown += 1;
    }
    earlier.hidden = !letters;
    later.hidden = !letters;
    earlier.disabled = first === 0;
    later.disabled = shown >= found.length;
    later.dataset.to = shown;
  }

  const isName = () => /(^|\.)name$/.test(field.name);

  // --- keys

  const pages = [];
  const ACTS = {
    back() { if (letters) spell(letters.slice(0, -1)); else erase(false); },
    clear() { spell(""); erase(true); },
    hide() { const one = field; close(); one.blur(); },
    split() { if (letters) spell(`${letters}'`); },
    shift() { shift = !shift; draw(); },
    later() { pages.push(first); first = Number(later.dataset.to); choose(); },
    earlier() { first = pages.pop() || 0; choose(); },
    space() {
      const best = choices.querySelector("button");
      if (letters && best) take(best);
      else if (letters) commit();
      else put(" ");
    },
    next() { commit(); goOn(); },
  };

  function take(button) {
    const left = letters.slice(Number(button.dataset.used));
    const text = button.textContent;
    letters = "";
    put(text);
    spell(left);
  }

  function press(button) {
    const { act, used } = button.dataset;
    heard.textContent = button.textContent;
    if (used) take(button);
    else if (ACTS[act]) ACTS[act]();
    else if (GOES_TO[act]) { commit(); layout = GOES_TO[act]; shift = false; open(field); }
    else if (layout === "text") spell(letters + button.value);
    else put(button.value);
    if (act !== "later" && act !== "earlier") pages.length = 0;
  }

  function following() {
    if (!field?.form) return null;
    const all = [...field.form.querySelectorAll(typed)].filter((each) => each === field || each.checkVisibility());
    return all[all.indexOf(field) + 1] || (large && document.querySelector(".one-by-one .primary:not([hidden])"));
  }

  function goOn() {
    const next = following();
    if (field.form?.matches("[role=search]")) field.form.requestSubmit();
    else if (next?.matches(typed)) next.focus();
    else if (next) { close(); next.click(); }
    else ACTS.hide();
  }

  // The focus stays in the field.
  panel.addEventListener("mousedown", (event) => event.preventDefault());
  panel.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && field) press(button);
  });
})();
