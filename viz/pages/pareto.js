// The Pareto plot in the browser: pointing at a run shows its grid and picture, a click asks for it
// back, A and B pin it. Python is asked through a hidden button that sends `window.cbParetoAsked`.
// Works on private parts of plotly, so every access is guarded; the table below does all of it too.
(() => {
  const BOX = "#pareto-box", bound = new WeakMap(), open = new Set();
  let under = null, focus = null;

  function ask(what) {
    window.cbParetoAsked = what;
    document.querySelector("#pareto-do")?.click();
  }

  // -- pointing at a point ---------------------------------------------------------------------

  const card = () => {
    let node = document.querySelector(".cb-pareto-card");
    if (!node) {
      node = document.createElement("div");
      node.className = "cb-pareto-card";
      node.setAttribute("aria-hidden", "true");  // the table says it all in words
      document.body.append(node);
    }
    return node;
  };

  function show(id, event) {
    const row = document.querySelector(`${BOX} tr[data-point="${CSS.escape(id)}"]`), node = card();
    const images = row ? [...row.querySelectorAll("img")] : [];
    if (!images.length || !event) { node.hidden = true; return; }
    node.replaceChildren(...images.map(image => image.cloneNode()));
    const words = document.createElement("p");
    words.textContent = row.querySelector(".cb-from")?.textContent ?? "";
    node.append(words);
    node.hidden = false;
    const box = node.getBoundingClientRect(), gap = 16;
    const left = event.clientX > innerWidth / 2 ? event.clientX - box.width - gap : event.clientX + gap;
    node.style.left = `${Math.max(4, Math.min(left, innerWidth - box.width - 4))}px`;
    node.style.top = `${Math.max(4, Math.min(event.clientY + gap, innerHeight - box.height - 4))}px`;
  }

  const id = event => {
    const data = event?.points?.[0]?.customdata;
    return Array.isArray(data) && typeof data[0] === "string" ? data[0] : null;
  };

  // Small recorded points may lie on one's own run, and plotly prefers small ones: within its disc
  // the run is meant.
  function meant(plot, event) {
    const found = id(event), at = event?.event, {xaxis, yaxis} = plot._fullLayout ?? {};
    if (!at || typeof xaxis?.d2p !== "function" || /^[rb]/.test(found ?? "")) return found;
    const box = plot.getBoundingClientRect();
    let best = found, nearest = 7;
    for (const {x, y, customdata} of plot.data) (customdata ?? []).forEach((data, i) => {
      if (!/^[rb]/.test(data[0])) return;
      const across = box.left + xaxis._offset + xaxis.d2p(x[i]) - at.clientX;
      const far = Math.hypot(across, box.top + yaxis._offset + yaxis.d2p(y[i]) - at.clientY);
      if (far < nearest) [best, nearest] = [data[0], far];
    });
    return best;
  }

  function bind(plot) {
    const mine = plot.layout?.meta?.cachebrush === "pareto";
    if (typeof plot.on !== "function" || bound.get(plot) === plot.on || !mine) return;
    bound.set(plot, plot.on);
    const hide = () => { under = null; card().hidden = true; };
    hide();  // a new plot: what was under the pointer is gone
    plot.on("plotly_hover", event => { under = meant(plot, event); if (under) show(under, event.event); });
    plot.on("plotly_unhover", hide);
    plot.on("plotly_click", event => {
      const of = meant(plot, event);
      hide();
      if (of) ask({do: "restore", of});
    });
  }

  // -- the table and the pins ------------------------------------------------------------------

  document.addEventListener("click", event => {
    const button = event.target.closest?.(`${BOX} button[data-do]`);
    if (!button) return;
    focus = {do: button.dataset.do, of: button.dataset.of};
    ask({...focus});
  });
  document.addEventListener("toggle", event => {
    const details = event.target, name = details.dataset?.table;
    if (!name || !details.isConnected) return;
    details.open ? open.add(name) : open.delete(name);
  }, true);
  document.addEventListener("keydown", event => {
    const slot = event.key.toUpperCase();
    if (!under || !"AB".includes(slot) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[rbf]/.test(under)) {
      event.preventDefault();
      event.stopPropagation();
      ask({do: slot, of: under});
    }
  }, true);

  // Python sends a new table each time; what was open stays so, and the focus comes back.
  function mend() {
    for (const details of document.querySelectorAll(`${BOX} details[data-table]`)) {
      if (open.has(details.dataset.table) && !details.open) details.open = true;
    }
    if (!focus || document.activeElement !== document.body) return;
    const again = `button[data-do="${focus.do}"][data-of="${CSS.escape(focus.of)}"]`;
    document.querySelector(`${BOX} ${again}`)?.focus({preventScroll: true});
  }

  let queued = 0;
  const scan = () => {
    queued = 0;
    document.querySelectorAll(`${BOX} .js-plotly-plot`).forEach(bind);
    mend();
  };
  const look = () => { if (!queued) queued = requestAnimationFrame(scan); };
  new MutationObserver(look).observe(document.documentElement, {childList: true, subtree: true});
  look();
})();
