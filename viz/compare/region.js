// "Why is it bad here?": a rectangle on the difference, drawn with the pointer, set around a tap, or
// moved with the keys. Asking is `window.cbRegion` and a press of the page's hidden button.
const LEAST = 0.04, ALONE = 0.25, NUDGE = 0.02;  // as shares of the side

function makeRegion(pane, chosen) {
  let box = null;  // [left, top, right, bottom] as shares of the picture, or null
  let drag = null;
  const frame = el("button", "cbc-region", {type: "button", hidden: ""});
  const ask = el("button", "cbc-toggle", {type: "button"}, "Why is it bad here?");
  const worst = el("button", "cbc-toggle", {type: "button", title: "Put the rectangle around the worst place"}, "Worst spot");
  const hint = el("span", "cbc-region-hint", {}, "Drag over the picture, or tap it.");
  const bar = el("div", "cbc-region-bar", {}, ask, worst, hint);
  pane.append(frame);

  const percents = () => box.map(x => Math.round(100 * x));
  const words = () => { const [a, b, c, d] = percents(); return `${a}–${c} % across, ${b}–${d} % down`; };
  function show() {
    frame.hidden = !box;
    ask.disabled = !box;
    if (!box) { hint.textContent = "Drag over the picture, or tap it."; return; }
    const [left, top, right, bottom] = box;
    Object.assign(frame.style, {left: left * 100 + "%", top: top * 100 + "%",
      width: (right - left) * 100 + "%", height: (bottom - top) * 100 + "%"});
    const [a, b, c, d] = percents();
    frame.setAttribute("aria-label", `Region: ${a} to ${c} percent across, ${b} to ${d} percent down. ` +
      "Arrows move it, with Shift they size it, Enter asks what causes its error.");
    hint.textContent = words();
  }
  function set(next) { box = next && next.map(x => Number(x.toFixed(4))); show(); }
  function tell() {
    if (!box) return;
    chosen(box);
    hint.textContent = `${words()}: asked, the answer comes below and on the grid`;
  }
  function around(x, y, size = ALONE) {
    const left = clamp(x - size / 2, 0, 1 - size), top = clamp(y - size / 2, 0, 1 - size);
    return [left, top, left + size, top + size];
  }
  const place = event => {
    const area = pane.getBoundingClientRect();
    return [clamp((event.clientX - area.left) / area.width, 0, 1), clamp((event.clientY - area.top) / area.height, 0, 1)];
  };

  pane.addEventListener("pointerdown", event => {
    if (event.button > 0 || drag || event.target.closest(".cbc-words")) return;
    drag = {id: event.pointerId, from: place(event), before: box};
    // A finger that drags scrolls the page; it chooses by tapping.
    if (event.pointerType !== "touch") { event.preventDefault(); pane.setPointerCapture(event.pointerId); }
  });
  pane.addEventListener("pointermove", event => {
    if (!drag || event.pointerId !== drag.id || event.pointerType === "touch") return;
    const [x, y] = place(event), [u, v] = drag.from;
    const next = [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
    if (Math.max(next[2] - next[0], next[3] - next[1]) >= LEAST) set(next);
  });
  const end = event => {
    if (!drag || event.pointerId !== drag.id) return;
    const [x, y] = place(event), [u, v] = drag.from, before = drag.before;
    drag = null;
    if (event.type === "pointercancel") return set(before);
    if (Math.min(Math.abs(x - u), Math.abs(y - v)) < LEAST) set(around((x + u) / 2, (y + v) / 2));
    frame.focus({preventScroll: true});
    tell();
  };
  pane.addEventListener("pointerup", end);
  pane.addEventListener("pointercancel", end);

  frame.addEventListener("keydown", event => {
    const by = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (event.key === "Escape") { event.preventDefault(); set(null); worst.focus(); return; }
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const [left, top, right, bottom] = box, [x, y] = by.map(n => n * NUDGE);
    if (event.shiftKey) set([left, top, clamp(right + x, left + LEAST, 1), clamp(bottom + y, top + LEAST, 1)]);
    else {
      const dx = clamp(x, -left, 1 - right), dy = clamp(y, -top, 1 - bottom);
      set([left + dx, top + dy, right + dx, bottom + dy]);
    }
  });
  frame.addEventListener("click", event => { if (event.detail === 0) tell(); });  // by keyboard
  ask.onclick = tell;

  let signed = null;  // of the pictures on the stage
  worst.onclick = () => {
    if (!signed) return;
    set(around(...worstPlace(signed), ALONE));
    tell();
  };
  show();
  return {
    bar,
    // `values`: the difference of n × n pixels; null: there is none to look into.
    show(values) { signed = values; worst.disabled = !values; },
    box: () => box,
  };
}

// The middle of the square of a quarter of the side with the largest sum of squares, as shares.
function worstPlace(signed) {
  const n = Math.round(Math.sqrt(signed.length)), side = Math.max(1, Math.round(n * ALONE)), w = n + 1;
  const sums = new Float64Array(w * w);
  for (let y = 0; y < n; y++)
    for (let x = 0; x < n; x++)
      sums[(y + 1) * w + x + 1] = signed[y * n + x] ** 2 + sums[y * w + x + 1] + sums[(y + 1) * w + x] - sums[y * w + x];
  let best = [-1, 0, 0];
  for (let y = 0; y + side <= n; y++)
    for (let x = 0; x + side <= n; x++) {
      const sum = sums[(y + side) * w + x + side] - sums[y * w + x + side] - sums[(y + side) * w + x] + sums[y * w + x];
      if (sum > best[0]) best = [sum, x, y];
    }
  return [(best[1] + side / 2) / n, (best[2] + side / 2) / n];
}
