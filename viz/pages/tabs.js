// The switch between the views as ARIA's tablist: one tab stop, arrows, Home and End; the view in
// focus is shown at once. Gradio draws it as a radio group, whose inputs then only hold the value.
(() => {
  const KEYS = {
    ArrowRight: k => k + 1, ArrowDown: k => k + 1, ArrowLeft: k => k - 1, ArrowUp: k => k - 1,
    Home: () => 0, End: () => -1,
  };
  const tabsOf = set => [...set.querySelectorAll("label")];
  const chosen = tab => tab.querySelector("input").checked;

  function told(set) {
    const tabs = tabsOf(set), now = tabs.find(chosen) ?? tabs[0];
    const panel = document.querySelector(".cb-main");
    for (const tab of tabs) {
      const word = tab.querySelector("input").value;
      const given = {role: "tab", id: `view-${word}`, "aria-selected": String(tab === now),
        tabindex: tab === now ? "0" : "-1", "aria-controls": panel?.id};
      for (const [name, value] of Object.entries(given))
        if (value && tab.getAttribute(name) !== value) tab.setAttribute(name, value);
    }
    if (now && panel?.getAttribute("aria-labelledby") !== now.id) panel?.setAttribute("aria-labelledby", now.id);
  }

  // A reload comes back to the view, unless the address holds a link, which has a view of its own.
  function named(set) {
    const word = tabsOf(set).find(chosen)?.querySelector("input").value;
    if (word && !/^\d/.test(location.hash.slice(1))) history.replaceState(null, "", `#${word}`);
  }

  function begin(set) {
    const list = set.querySelector("label")?.parentElement, panel = document.querySelector(".cb-main");
    if (!list || !panel || set.dataset.tabs) return;
    set.dataset.tabs = "true";
    set.setAttribute("role", "presentation");
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", "View");
    panel.id ||= "view-panel";
    panel.setAttribute("role", "tabpanel");
    list.addEventListener("keydown", event => {
      const to = KEYS[event.key], tabs = tabsOf(set), at = tabs.indexOf(event.target.closest("label"));
      if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
      const tab = to ? tabs.at(to(at) % tabs.length) : [" ", "Enter"].includes(event.key) ? tabs[at] : null;
      if (!tab) return;
      event.preventDefault();
      if (!chosen(tab)) tab.querySelector("input").click();
      told(set);
      tab.focus();
    });
    set.addEventListener("change", () => { told(set); named(set); });
    // The server may choose a view too: Gradio marks its label by class.
    new MutationObserver(() => told(set)).observe(list, {subtree: true, childList: true, attributeFilter: ["class"]});
    told(set);
  }

  const look = new MutationObserver(() => {
    const set = document.getElementById("view");
    if (!set) return;
    begin(set);
    if (set.dataset.tabs) look.disconnect();
  });
  look.observe(document, {childList: true, subtree: true});
})();
