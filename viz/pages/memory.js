// What this browser remembers of a visit: of this tab over a reload, of the last one over days. The
// server writes the text and checks it when it comes back; here it is only kept and handed over.
(() => {
  const KEY = "cachebrush-visit", MAX_CHARS = 200000;
  const hash = () => location.hash.slice(1), isLink = given => /^\d/.test(given);
  let resumed = false, over = false, under = hash();  // the address that the page's state belongs to

  // Storage may be forbidden, full, or hold what somebody else has put there.
  function read(name) {
    try {
      const found = JSON.parse(window[name].getItem(KEY) ?? "null");
      const fits = found && typeof found.page === "string" && found.page.length <= MAX_CHARS;
      return fits && typeof found.after === "string" ? found : null;
    } catch { return null; }
  }
  // Somebody's link comes first, but not before what this very tab has done with it since.
  function kept() {
    const mine = read("sessionStorage");
    if (isLink(hash())) return mine?.after === hash() ? mine : null;
    return mine ?? read("localStorage");
  }
  function each(change) {
    for (const name of ["sessionStorage", "localStorage"])
      try { change(window[name]); } catch { /* kept nowhere: the page works without */ }
  }

  // The address says where the visitor is, unless it holds a link.
  function addressed() {
    const place = document.querySelector(".cb-place .cb-marks");
    if (!place || isLink(hash())) return;
    const {view, lesson} = place.dataset;
    const named = view === "lessons" && lesson ? `lesson-${encodeURI(lesson)}` : view;
    if (named && named !== hash()) history.replaceState(null, "", `#${named}`);
  }

  window.cbMemory = {
    take() {
      const found = kept();
      resumed = !!found;
      const button = document.querySelector("#afresh");
      button?.classList.toggle("cb-offered", resumed);
      button?.setAttribute("title", TIP);
      if (resumed) window.cbDraft.withdraw();
      const place = document.querySelector(".cb-place");
      if (place) new MutationObserver(addressed).observe(place, {subtree: true, childList: true, attributes: true});
      return found?.page ?? "";
    },
    resumed: () => resumed,
    // Whether the page as it is built is not yet what the address, or what is remembered, asks for.
    awaited() {
      const asked = hash() && hash() !== "demo" || kept();
      return !!asked && !document.querySelector("#notices .cb-notice");
    },
    keep(page) {
      if (over || isLink(hash()) && hash() !== under) return;  // a link that is about to be opened
      const text = JSON.stringify({page, after: under, at: Date.now()});
      each(storage => storage.setItem(KEY, text));
    },
    // Another address was given to the open page: what it asks for comes first.
    leave() {
      over = true;
      try { sessionStorage.removeItem(KEY); } catch { /* nothing is kept there */ }
      location.reload();
    },
    moved() { under = hash(); },
    forget() {
      over = true;
      each(storage => storage.removeItem(KEY));
      if (!isLink(hash())) history.replaceState(null, "", location.pathname + location.search);
      location.reload();
    },
  };
})();
