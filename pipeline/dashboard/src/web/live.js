"use strict";
// Keeps a page up to date: fetches it again as it is addressed, and takes over the parts that are marked `data-live`. Nothing is asked
// for while nobody looks. Curves are told by an event that something may have changed.

const EVERY = 2000;
let tag = null;
let failures = 0;

function take(page) {
  if (document.querySelector('[data-live="page"]') && !page.querySelector('[data-live="page"]')) {
    location.reload();
    return;
  }
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = old.id && page.getElementById(old.id);
    if (!fresh) continue;
    if (old.dataset.live === "data") {
      for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    } else if (!old.isEqualNode(fresh) && !old.contains(document.activeElement)) {
      old.replaceChildren(...document.importNode(fresh, true).childNodes);
    }
  }
  document.dispatchEvent(new Event("live"));
}

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.status !== 304) {
        tag = answer.headers.get("etag");
        take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      }
      failures = 0;
    } catch {
      failures += 1;
      const now = document.getElementById("now");
      if (now && failures > 1) now.textContent = "the server does not answer";
    }
  }
  setTimeout(refresh, EVERY * Math.min(1 + failures, 8));
}

document.addEventListener("DOMContentLoaded", () => {
  setTimeout(refresh, EVERY);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) document.dispatchEvent(new Event("live")); });
});
