// Drafts: what was last painted, kept in this browser as the text of a link, one for each model, and
// offered again when the page is opened without a link, or with the link that it was painted after,
// and has not gone on with it by itself (memory.js).
(() => {
  const PREFIX = "cachebrush-draft:", MOST = 8, MAX_CHARS = 16384, SETTLED_MS = 1200;
  const hash = location.hash.slice(1), opened = /^\d/.test(hash) ? hash : "";  // views have names
  let model = HOME, timer = 0, said = "";

  // Storage may be forbidden, full, or hold what somebody else has put there.
  function read(name) {
    try {
      const found = JSON.parse(localStorage.getItem(PREFIX + name) ?? "null");
      const fits = found && typeof found.link === "string" && found.link.length <= MAX_CHARS;
      return fits && Number.isFinite(found.at) ? found : null;
    } catch { return null; }
  }
  function write(name, link) {
    try {
      const after = location.hash.slice(1);  // Copy link may have changed it since
      localStorage.setItem(PREFIX + name, JSON.stringify({link, at: Date.now(), after}));
      const names = Object.keys(localStorage).filter(key => key.startsWith(PREFIX))
        .map(key => key.slice(PREFIX.length));
      names.sort((a, b) => (read(b)?.at ?? 0) - (read(a)?.at ?? 0));
      for (const old of names.slice(MOST)) localStorage.removeItem(PREFIX + old);
    } catch { /* kept nowhere: the page works without */ }
  }

  const when = at => {
    const date = new Date(at), today = date.toDateString() === new Date().toDateString();
    const clock = date.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", hourCycle: "h23"});
    return today ? clock : `${date.toLocaleDateString([], {day: "numeric", month: "short"})}, ${clock}`;
  };
  function offer(on) {
    const button = document.querySelector("#restore-draft"), kept = on ? read(model) : null;
    if (!button) return false;
    const other = opened && (kept?.after !== opened || kept.link === opened);
    // Not beside somebody else's link, nor where the page has gone on with it by itself.
    const found = other || window.cbMemory.resumed() && model === HOME ? null : kept;
    button.classList.toggle("cb-offered", !!found);
    if (found) {
      button.textContent = WORDS.replace("{when}", when(found.at));
      button.title = TIP;
    }
    return true;
  }

  window.cbDraft = {
    // The link to restore, for the button's own event.
    take() { offer(false); return read(model)?.link ?? ""; },
    withdraw() { offer(false); },
    // What the server says the state is, once an edit has settled; "" while nothing was done.
    keep(given) {
      const now = given ? JSON.parse(given) : null;
      if (now?.page) window.cbMemory.keep(now.page);
      if (!now?.link) return;
      const other = now.model !== model;
      model = now.model;
      // What a link has brought is no draft before it is changed.
      if (now.link === opened || now.link === said || now.link.length > MAX_CHARS) return;
      said = now.link;
      if (other && read(model)) return offer(true);
      write(model, now.link);
      offer(false);
    },
  };

  const keepNow = () => {
    clearTimeout(timer);
    timer = 0;
    document.querySelector("#keep-draft")?.click();
  };
  const soon = window.cbDraft.soon = () => {
    clearTimeout(timer);
    timer = setTimeout(keepNow, SETTLED_MS);
  };
  const settle = event => {
    if (event.target instanceof Element && event.target.closest("#restore-draft")) return;
    soon();
  };
  for (const kind of ["pointerup", "keyup", "change", "drop"]) addEventListener(kind, settle, true);
  // A phone may throw a page away as soon as another one is looked at.
  document.addEventListener("visibilitychange", () => { if (document.hidden && timer) keepNow(); });

  // The page is built after this script has run.
  const look = new MutationObserver(() => { if (offer(true)) look.disconnect(); });
  look.observe(document.documentElement, {childList: true, subtree: true});
})();
