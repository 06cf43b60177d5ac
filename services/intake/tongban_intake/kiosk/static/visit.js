"use strict";
/* A visit begins at home. What was shown in one that is over is not shown again to the next person by
   the way back, by reloading or from the browser's memory. Runs before anything is painted; all that
   it keeps is a number. */
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
