// Keeps a page fresh that says it changes (data-poll: seconds, data-live: address of an event stream). It loads the page
// again and puts the new regions in place of the old ones; everything it shows was rendered by the server.
"use strict";
(() => {
  const body = document.body;
  const minGap = 1000; // ms between two loads, however many events there are

  document.addEventListener("keydown", (e) => {
    if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "")) return;
    const box = document.getElementById("q");
    if (box) { e.preventDefault(); box.focus(); box.select(); }
  });

  if (!body.dataset.poll) return;
  let last = 0, timer = 0, busy = false;

  const refresh = async () => {
    if (busy || document.hidden) return plan(Number(body.dataset.poll) * 1000);
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-region]")) {
        const fresh = page.getElementById(old.id);
        if (fresh && !old.contains(document.activeElement)) old.replaceChildren(...fresh.childNodes);
      }
      if (page.body.dataset.poll) body.dataset.poll = page.body.dataset.poll;
      else delete body.dataset.poll;
      body.classList.remove("stale");
    } catch {
      body.classList.add("stale"); // the node is away; what is shown stays
    }
    busy = false;
    last = Date.now();
    if (body.dataset.poll) plan(Number(body.dataset.poll) * 1000);
  };
  const plan = (ms) => { clearTimeout(timer); timer = setTimeout(refresh, ms); };

  plan(Number(body.dataset.poll) * 1000);
  if (body.dataset.live && "EventSource" in window) {
    const events = new EventSource(body.dataset.live);
    for (const kind of ["crawl", "ledger"]) events.addEventListener(kind, () => plan(Math.max(0, minGap - (Date.now() - last))));
  }
})();
