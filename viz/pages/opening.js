// While the page is being built nothing of it shows that would jump: boxes come one by one, and the
// view that the address names, or that this browser remembers, only with the server's answer.
// Gradio's opening screen counts its seconds, sixty times each, until the page is left (6.31): its
// clock is stopped once the page stands. Without such a clock all frames pass.
(() => {
  const LONGEST_MS = 8000, html = document.documentElement;
  const CLOCK = /performance\.now\(\)\s*-[^]*1e3/;
  const frame = window.requestAnimationFrame.bind(window);
  let stands = false, left = 600;  // frames to look at afterwards: ten seconds
  window.requestAnimationFrame = draw => {
    if (stands && left > 0) {
      left--;
      if (CLOCK.test(Function.prototype.toString.call(draw))) return 0;
    }
    return frame(draw);
  };

  // Gradio says its own words in the browser's language; the page is English throughout.
  for (const [name, value] of [["language", "en"], ["languages", ["en"]]])
    Object.defineProperty(navigator, name, {get: () => value, configurable: true});

  html.classList.add("cb-opening");
  const shown = () => document.querySelector("#grid .cb-rows") && document.querySelector("#compare .cbc-stage");
  const awaited = () => window.cbMemory?.awaited() ?? false;
  const end = () => {
    if (stands) return;
    stands = true;
    look.disconnect();
    html.classList.remove("cb-opening");
  };
  const look = new MutationObserver(() => { if (shown() && !awaited()) end(); });
  look.observe(html, {childList: true, subtree: true, attributes: true, attributeFilter: ["data-view"]});
  setTimeout(end, LONGEST_MS);  // whatever has gone wrong is better seen
})();
