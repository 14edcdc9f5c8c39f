// Lines over the cells, drawn as three paths: what is chosen, what is locked, what differs. One
// element each however many cells there are, so that cells themselves are never touched for it.
let overlayFrame = 0;

function buildOverlay() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "cb-overlay");
  svg.setAttribute("aria-hidden", "true");
  nodes.overlay = {svg};
  for (const name of ["locks", "padlocks", "diff", "halo", "chosen"]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", `cb-over-${name}`);
    nodes.overlay[name] = path;
    svg.append(path);
  }
  nodes.rows.prepend(svg);  // the ring stays the last child
  drawOverlay();
}

function overlayLater() {
  if (!overlayFrame) overlayFrame = requestAnimationFrame(drawOverlay);
}

function drawOverlay() {
  cancelAnimationFrame(overlayFrame);
  overlayFrame = 0;
  if (!nodes.overlay || !model.cells) return;
  const {locks, padlocks, diff, halo, chosen} = nodes.overlay;
  const cells = chosenIn === "cells" ? selection : new Set(), around = outline(i => cells.has(i), [...cells]);
  stepNodes.forEach((node, s) => {
    const on = chosenIn === "steps" && selection.has(s);
    if (on !== (node.dataset.chosen === "true")) node.dataset.chosen = on;
  });
  for (const path of [halo, chosen]) path.setAttribute("d", around);
  const held = [];
  planes.locks.forEach((on, i) => { if (on) held.push(i); });
  locks.setAttribute("d", outline(i => planes.locks[i] === 1, held));
  padlocks.setAttribute("d", held.map(padlock).join(""));
  diff.setAttribute("d", differing().map(flag).join(""));
}

// The edges of cells that have no chosen neighbour behind them.
function outline(has, list) {
  const {cw, ch} = geometry, parts = [];
  for (const i of list) {
    const row = rowOf(i), s = i % model.S;
    const left = leftOf(s), top = topOf(row), right = left + cw;
    const below = row + 1 < model.rows && has(i + model.S), above = row > 0 && has(i - model.S);
    const bottom = below ? topOf(row + 1) : top + ch, next = s + 1 < model.S && has(i + 1);
    const edge = next ? leftOf(s + 1) : right;
    if (!above) parts.push(`M${left} ${top}H${edge}`);
    if (!below) parts.push(`M${left} ${bottom}H${edge}`);
    if (!s || !has(i - 1)) parts.push(`M${left} ${top}V${bottom}`);
    if (!next) parts.push(`M${right} ${top}V${bottom}`);
  }
  return parts.join("");
}

// A padlock in the corner of a cell or, where there is no room for one, the corner cut off.
function padlock(i) {
  const {cw, ch, gap} = geometry, x = leftOf(i % model.S) + cw - gap, y = topOf(rowOf(i)) + ch - gap;
  const small = Math.min(cw, ch);
  if (small < 14) return `M${x} ${y}h${-small / 2}l${small / 2} ${-small / 2}z`;
  return `M${x - 8.5} ${y - 6}h7v5h-7zM${x - 7.2} ${y - 6}v-1.4a2.2 2.2 0 0 1 4.4 0v1.4h-1.2v-1.4a1 1 0 0 0-2 0v1.4z`;
}

// A flag in the upper left corner.
function flag(i) {
  const {cw, ch} = geometry, x = leftOf(i % model.S), y = topOf(rowOf(i));
  const size = Math.max(4, Math.min(cw, ch) * 0.45);
  return `M${x} ${y}h${size}l${-size} ${size}z`;
}
