// Links plotly figures and the rest of the page: hovering a curve names a cell to everyone, and a
// cell hovered elsewhere lights up its curve and step. Works on private parts of plotly, so every
// access is guarded: without them the link is silent, never broken.
(() => {
  const BRANCHES = ["attn", "mlp"], EVENT = "cachebrush:hover";
  // "curves" and "steps" have steps along x; points of "cells" name their own.
  const LINKED = new Set(["curves", "steps", "cells"]);
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

  function mark(plot, detail) {
    const full = plot._fullLayout, own = detail.source === name(plot);
    let rule = plot.querySelector(":scope > .cb-plot-rule");
    const axis = full && full.xaxis, wanted = Number.isInteger(detail.step) && axis && !own;
    if (!wanted) { if (rule) rule.remove(); }
    else {
      if (!rule) { rule = document.createElement("div"); rule.className = "cb-plot-rule"; plot.append(rule); }
      plot.style.position = "relative";
      const size = full._size;
      rule.style.left = axis._offset + axis.l2p(detail.step) - 1 + "px";
      rule.style.top = size.t + "px";
      rule.style.height = size.h + "px";
    }
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
  window.addEventListener(EVENT, event => {
    const detail = event.detail || {};
    for (const plot of document.querySelectorAll(".js-plotly-plot")) {
      if (name(plot) !== "curves" && name(plot) !== "steps") continue;
      try { mark(plot, detail); } catch { /* another plotly: no light, no harm */ }
    }
  });
})();
