"use strict";
/* Hides the pages of an earlier visit from the next person, who may press the back button, reload, or
   be shown a page from the browser's cache. Runs before anything is painted and stores nothing but a
   number. */
(() => {
  const atHome = document.currentScript.dataset.visit === "new";
  const current = () => Number(sessionStorage.getItem("visit") || 0);
  const stamp = () => history.replaceState({ visit: current() }, "");

  function over() {
    if (history.state) return history.state.visit !== current();
    return performance.getEntriesByType("navigation")[0]?.type === "back_forward";
  }

  function shown() {
    if (atHome) sessionStorage.setItem("visit", current() + 1);
    else if (over()) {
      document.documentElement.hidden = true;
      location.replace("/kiosk");
      return;
    }
    stamp();
  }

  shown();
  window.addEventListener("hashchange", stamp);
  window.addEventListener("pageshow", (event) => { if (event.persisted) shown(); });
})();
