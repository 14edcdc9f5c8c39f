// Links plotly figures and the rest of the page: hovering a curve names a cell to everyone, and a
// cell hovered elsewhere lights up its curve and step. Works on private parts of plotly, so every
// access is guarded: without them the link is silent, never broken.
(() => {
  const BRANCHES = ["attn", "mlp"], EVENT = "cachebrush:hover";
  // "curves" and "steps" have steps along x; points of "cells" name their own.
  const LINKED = new Set(["curves", "steps", "cells"]);
  let last = {};  // what is lit
  const bound = new WeakMap();  // plot -> its `on`, which a new plot in the same node replaces
  const name = plot => plot.layout && plot.layout.meta && plot.layout.meta.cachebrush;
  const say = (plot, detail) =>
    window.dispatchEvent(new CustomEvent(EVENT, {detail: {...detail, source: name(plot)}}));

  function bind(plot) {
    if (typeof plot.on !== "function" || bound.get(plot) === plot.on || !LINKED.has(name(plot))) return;
    bound.set(plot, plot.on);
    plot.on("plotly_hover", event => {
      const point = event && event.points && event.points[0];
      if (!point || !Array.isArray(point.customdata)) return;
      const [block, branch, step] = point.customdata;
      const named = name(plot) === "cells" && point.data && point.data.mode === "markers+text";
      say(plot, {block, branch: BRANCHES[branch] ?? null, step: named ? step : point.x});
    });
    // A figure that comes or is drawn anew while something is lit shows it too.
    const again = () => { try { mark(plot, last); } catch { /* see below */ } };
    plot.on("plotly_afterplot", again);
    if (plot._fullLayout) again();
    plot.on("plotly_unhover", () => say(plot, {block: null, branch: null, step: null}));
  }

  let queued = 0;
  const scan = () => {
    queued = 0;
    document.querySelectorAll(".js-plotly-plot").forEach(bind);
  };
  const look = () => { if (!queued) queued = requestAnimationFrame(scan); };
  // gr.Plot mounts a new plot for every value. Plotly sets its class before it is ready to be
  // bound, and fills it afterwards; both are seen here.
  new MutationObserver(look).observe(document.documentElement, {childList: true, subtree: true});
  look();

  // Where a cell or a step lies in a figure: {x, y, axis} of points to ring, and what to rule.
  function places(plot, detail) {
    const full = plot._fullLayout, meta = plot.layout.meta || {}, {block, branch, step} = detail;
    const at = (x, y, axis = "yaxis") => ({x, y, axis: full[axis]});
    if (!Number.isInteger(step)) return [];
    const sameBranch = r => !branch || BRANCHES[r] === branch;
    if (meta.link === "rows") return Number.isInteger(block) && sameBranch(meta.branch) ? [at(step, block)] : [];
    const found = [];
    for (const trace of plot.data || []) {
      const axis = "yaxis" + (trace.yaxis || "y").slice(1);
      if (trace.type === "bar" || !Array.isArray(trace.customdata) || !Array.isArray(trace.y)) continue;
      trace.customdata.forEach((data, i) => {
        if (!Array.isArray(data) || trace.type === "heatmap") return;
        const here = name(plot) === "cells" && trace.mode === "markers+text" ? data[2] : trace.x[i];
        if (here !== step || !Number.isFinite(trace.y[i])) return;
        const whole = name(plot) === "steps" && data[0] === null;  // of a step, not of a cell
        if (whole || (data[0] === block && sameBranch(data[1]))) found.push(at(trace.x[i], trace.y[i], axis));
      });
    }
    // Between all pairs of steps a computed step stands in for itself.
    if (!found.length && meta.link === "pairs" && meta.block === block && sameBranch(meta.branch)) return [at(step, step)];
    return found;
  }

  function mark(plot, detail) {
    const full = plot._fullLayout, own = detail.source === name(plot);
    for (const old of plot.querySelectorAll(":scope > .cb-plot-rule, :scope > .cb-plot-ring")) old.remove();
    const axis = full && full.xaxis, size = full && full._size;
    const ruled = name(plot) !== "cells" || plot.layout.meta.link === "rows";
    if (ruled && Number.isInteger(detail.step) && axis && !own) {
      const rule = document.createElement("div");
      rule.className = "cb-plot-rule";
      rule.style.left = axis._offset + axis.l2p(detail.step) - 1 + "px";
      rule.style.top = size.t + "px";
      rule.style.height = size.h + "px";
      plot.style.position = "relative";
      plot.append(rule);
    }
    if (axis && !own) for (const place of places(plot, detail)) {
      const ring = document.createElement("div");
      ring.className = "cb-plot-ring";
      ring.style.left = axis._offset + axis.l2p(place.x) + "px";
      ring.style.top = place.axis._offset + place.axis.l2p(place.y) + "px";
      plot.style.position = "relative";
      plot.append(ring);
    }
    if (name(plot) !== "curves") return;
    const cell = Number.isInteger(detail.block);
    for (const group of plot.querySelectorAll(".scatterlayer .trace")) {
      const data = group.__data__ && group.__data__[0] && group.__data__[0].trace;
      const point = data && data.customdata && data.customdata[0];
      const mine = cell && point && point[0] === detail.block &&
        (!detail.branch || BRANCHES[point[1]] === detail.branch);
      group.classList.toggle("cb-loud", !!mine);
      group.classList.toggle("cb-quiet", !!(cell && point && !mine));
    }
  }

  // Words that name a cell, data-cell="block,branch,step", light it like a point of a figure.
  const named = event => event.target.closest?.("[data-cell]");
  function light(event) {
    const [block, branch, step] = named(event)?.dataset.cell.split(",").map(Number) ?? [];
    if (Number.isInteger(step)) emit({block, branch: BRANCHES[branch] ?? null, step});
  }
  const emit = detail =>
    window.dispatchEvent(new CustomEvent(EVENT, {detail: {...detail, source: "words"}}));
  const unlight = event => { if (named(event)) emit({block: null, branch: null, step: null}); };
  for (const name of ["pointerover", "focusin"]) document.addEventListener(name, light);
  for (const name of ["pointerout", "focusout"]) document.addEventListener(name, unlight);

  window.addEventListener(EVENT, event => {
    const detail = last = event.detail || {};
    for (const plot of document.querySelectorAll(".js-plotly-plot")) {
      if (!LINKED.has(name(plot))) continue;
      try { mark(plot, detail); } catch { /* another plotly: no light, no harm */ }
    }
  });
})();
