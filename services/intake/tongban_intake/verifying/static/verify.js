"use strict";
/* Makes the fingerprint of a file in the browser, which sends nothing but its first 16 digits; the page
   that knows them compares the rest. Without a secure context there is no SHA-256, and the page stays
   as it is. */
(() => {
  const card = document.getElementById("compare") || document.getElementById("by-file");
  const file = document.getElementById("file");
  if (!card || !file || !(window.crypto && crypto.subtle)) return;
  const CODE = 16;
  const CHOSEN = "tongban-chosen-file";

  async function fingerprint(chosen) {
    const digest = await crypto.subtle.digest("SHA-256", await chosen.arrayBuffer());
    return [...new Uint8Array(digest)].map((each) => each.toString(16).padStart(2, "0")).join("");
  }

  function compare(sha256) {
    const same = sha256 === card.dataset.sha256;
    document.getElementById("same").hidden = !same;
    document.getElementById("altered").hidden = same;
  }

  card.hidden = false;
  file.addEventListener("change", async () => {
    if (!file.files.length) return;
    const sha256 = await fingerprint(file.files[0]);
    file.value = "";
    if (card.dataset.sha256) {
      compare(sha256);
      return;
    }
    // Not in the address: whoever writes a link could have the next page say that a file is the same.
    sessionStorage.setItem(CHOSEN, sha256);
    location.assign(`${card.dataset.ask}/${sha256.slice(0, CODE)}?lang=${card.dataset.language}`);
  });
  const chosen = sessionStorage.getItem(CHOSEN);
  sessionStorage.removeItem(CHOSEN);
  if (chosen && card.dataset.sha256) compare(chosen);
})();
