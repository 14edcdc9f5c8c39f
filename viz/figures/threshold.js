// The threshold on the curves of changes as a line that is dragged. While it moves the grid follows
// from patterns that came with the figure; at rest one event asks Python, through a hidden button
// that sends `window.cbAlpha`. Private parts of plotly are guarded: without them there is a slider
// in the Method box all the same.
(() => {
  const PREVIEW = "cachebrush:preview", PAUSE_MS = 350, LARGE = 10;
  const bound = new WeakMap();  // plot -> its `on`, which a new plot in the same node replaces
  let refocus = false;          // whether the line had the focus when Gradio put a new plot there
  // Where the focus goes by itself nothing is heard when its node is taken away.
  document.addEventListener("focusin", event => {
    refocus = event.target.classList?.contains("cb-alpha-handle") ?? false;
  });
  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
  const make = (cls, attrs = {}) => {
    const node = document.createElement("div");
    node.className = cls;
    for (const name in attrs) node.setAttribute(name, attrs[name]);
    return node;
  };
  const preview = rows => window.dispatchEvent(new CustomEvent(PREVIEW, {detail: {rows}}));
  const pattern = (pairs, value) => {
    let found = pairs[0][1];
    for (const [from, row] of pairs) if (from <= value) found = row;
    return found;
  };

  function build(plot, alpha) {
    const state = {...alpha, start: alpha.value, moved: false};
    const axes = Object.keys(plot._fullLayout).filter(key => /^yaxis\d*$/.test(key)).sort();
    const box = make("cb-alpha");
    box.classList.toggle("cb-on", alpha.on);
    const lines = axes.map(() => make("cb-alpha-line", {"aria-hidden": "true"}));
    const handle = make("cb-alpha-handle", {
      role: "slider", tabindex: 0, "aria-label": `Threshold α of ${alpha.title}`,
      "aria-orientation": "vertical", "aria-valuemin": alpha.least, "aria-valuemax": alpha.most,
    });
    handle.title = `Drag: ${alpha.title} reuses the next k ≤ 3 steps while ` +
      "E_k = mean over blocks of ‖F(s) − F(s−k)‖₁ / ‖F(s)‖₁ stays at or below α. The dotted curve is E₁.";
    box.append(...lines, handle);
    plot.querySelector(":scope > .cb-alpha")?.remove();
    plot.style.position = "relative";
    plot.append(box);
    plot.classList.add("cb-has-alpha");

    const known = Object.keys(state.rows).length > 0;
    const rows = () => known && Object.fromEntries(
      Object.entries(state.rows).map(([branch, pairs]) => [branch, pattern(pairs, state.value)]));
    const digits = x => x.toFixed(3).replace(/0$/, "");

    function place() {
      const {xaxis, _size} = plot._fullLayout;
      if (!xaxis || !_size) return;
      lines.forEach((line, k) => {
        const axis = plot._fullLayout[axes[k]];
        const y = clamp(axis.l2p(state.value), 0, axis._length);
        line.style.left = xaxis._offset + "px";
        line.style.width = xaxis._length + "px";
        line.style.top = axis._offset + y + "px";
        line.classList.toggle("cb-beyond", axis.l2p(state.value) < 0);
        if (k) return;
        handle.style.top = line.style.top;
        handle.style.left = xaxis._offset + 3 + "px";
      });
      const all = Object.entries(rows() || {}), ones = all.map(([, row]) => row.split("1").length - 1);
      const share = all.length && ones.reduce((a, b) => a + b) / all.reduce((n, [, row]) => n + row.length, 0);
      const idle = !state.on && !state.moved;
      handle.textContent = `α ${digits(state.value)}` +
        (idle ? ": drag me" : all.length ? ` reuses ${Math.round(100 * share)} %` : "");
      handle.setAttribute("aria-valuenow", state.value);
      handle.setAttribute("aria-valuetext", `${digits(state.value)}` +
        (all.length ? ": " + all.map(([branch, row], k) => `${branch} reuses ${ones[k]} of ${row.length} steps`).join(", ") : ""));
    }

    function set(value) {
      const exact = clamp(Math.round(value / state.step) * state.step, state.least, state.most);
      const next = Number(exact.toFixed(6));
      if (next === state.value && state.moved) return;
      state.value = next;
      state.moved = true;
      box.classList.add("cb-on");
      place();
      if (known) preview(rows());
    }

    function commit() {
      clearTimeout(state.timer);
      if (!state.moved || (state.on && state.value === state.start)) return;
      state.start = state.value;
      state.on = true;
      window.cbAlpha = state.value;
      document.querySelector("#alpha-do")?.click();
    }

    function cancel() {
      clearTimeout(state.timer);
      if (!state.moved || state.value === state.start) return;
      state.value = state.start;
      box.classList.toggle("cb-on", state.on);
      state.moved = state.on;
      place();
      preview(null);
    }

    let drag = null;  // {id, axis}
    const grab = (node, k) => {
      node.addEventListener("pointerdown", event => {
        if (event.button > 0 || drag) return;
        event.preventDefault();
        event.stopPropagation();
        drag = {id: event.pointerId, axis: plot._fullLayout[axes[k]], from: event.clientY, off: 0};
        drag.off = drag.axis._offset + drag.axis.l2p(state.value) - (event.clientY - plot.getBoundingClientRect().top);
        node.setPointerCapture(event.pointerId);
        handle.focus({preventScroll: true});
      });
      node.addEventListener("pointermove", event => {
        if (!drag || event.pointerId !== drag.id) return;
        const y = event.clientY - plot.getBoundingClientRect().top + drag.off;
        if (Math.abs(event.clientY - drag.from) < 2 && !state.moved) return;
        set(drag.axis.p2l(y - drag.axis._offset));
      });
      const end = event => {
        if (!drag || event.pointerId !== drag.id) return;
        drag = null;
        if (event.type === "pointercancel") cancel(); else commit();
      };
      node.addEventListener("pointerup", end);
      node.addEventListener("pointercancel", end);
      // Plotly listens on what lies beneath.
      for (const name of ["mousedown", "touchstart"]) node.addEventListener(name, e => e.stopPropagation());
    };
    lines.forEach(grab);
    grab(handle, 0);

    handle.addEventListener("keydown", event => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const by = {ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: LARGE, PageDown: -LARGE}[event.key];
      const to = {Home: state.least, End: state.most}[event.key];
      if (event.key === "Escape") { drag = null; return cancel(); }
      if (event.key === "Enter") return commit();
      if (by === undefined && to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      set(to !== undefined ? to : state.value + state.step * (event.shiftKey ? LARGE * Math.sign(by) : by));
      clearTimeout(state.timer);
      state.timer = setTimeout(commit, PAUSE_MS);
    });
    place();
    plot.on("plotly_afterplot", () => { try { place(); } catch { /* no line, no harm */ } });
    if (refocus && (!document.activeElement || document.activeElement === document.body)) {
      handle.focus({preventScroll: true});
    }
  }

  let queued = 0;
  const scan = () => {
    queued = 0;
    for (const plot of document.querySelectorAll("#curves .js-plotly-plot")) {
      const alpha = plot.layout?.meta?.alpha;
      if (typeof plot.on !== "function" || bound.get(plot) === plot.on || !alpha || !plot._fullLayout?._size) continue;
      bound.set(plot, plot.on);
      try { build(plot, alpha); } catch { /* another plotly: the slider in the box remains */ }
    }
  };
  const look = () => { if (!queued) queued = requestAnimationFrame(scan); };
  new MutationObserver(look).observe(document.documentElement, {childList: true, subtree: true});
  look();
})();
