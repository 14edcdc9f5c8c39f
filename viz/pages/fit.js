// A figure that is drawn while its view is hidden is as wide as plotly likes: once it shows, plotly
// is told to look at the room it has.
(() => {
  const boxes = ["curves", "pareto"], seen = new Map();
  const grown = new ResizeObserver(entries => {
    const shown = entries.some(({target, contentRect}) => {
      const before = seen.get(target);
      seen.set(target, contentRect.width);
      return before === 0 && contentRect.width > 0;
    });
    if (shown) window.dispatchEvent(new Event("resize"));
  });
  const found = new MutationObserver(() => {
    for (const name of [...boxes]) {
      const box = document.getElementById(name);
      if (!box) continue;
      boxes.splice(boxes.indexOf(name), 1);
      grown.observe(box);
    }
    if (!boxes.length) found.disconnect();
  });
  found.observe(document.documentElement, {childList: true, subtree: true});
})();
