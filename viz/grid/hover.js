// Looking at a cell: tooltip, crosshair, and the link to the figures through `cachebrush:hover`.
let hovered = null;     // [row, step] under the pointer; HEAD or WHOLE, and -1 for a whole row
let lit = null;         // the cells lit by somebody else, same form
const HOVER = "cachebrush:hover";

function hoverAt(row, s, x, y) {
  if (!hovered || hovered[0] !== row || hovered[1] !== s) {
    hovered = [row, s];
    tellOthers(row, s);
    placeRing();
  }
  showTip(box => fillCellTip(box, row, s), x, y);
}

function leave() {
  hideTip();
  if (!hovered) return;
  hovered = null;
  tellOthers(-1, -1);
  placeRing();
}

function tellOthers(row, s) {
  const detail = {
    source: "grid", grid: BAKED.key,
    row: row < 0 ? null : row, block: row < 0 ? null : blockOf(row),
    branch: row < 0 ? null : branchOf(row), step: s < 0 ? null : s,
  };
  window.dispatchEvent(new CustomEvent(HOVER, {detail}));
}

// A place told by a figure or by Python: {row, step} or {block, branch, step}, branch by name or
// number; a missing step or row lights the whole row or column, nothing at all puts the light out.
function lightUp(detail) {
  const d = detail || {};
  let row = Number.isInteger(d.row) ? d.row : -1;
  if (row < 0 && Number.isInteger(d.block)) {
    const branch = Number.isInteger(d.branch) ? d.branch : model.branches.indexOf(d.branch);
    row = d.block * model.R + Math.max(branch, 0);
  }
  const s = Number.isInteger(d.step) ? d.step : -1;
  const fits = row < model.rows && s < model.S && (row >= 0 || s >= 0);
  lit = fits ? [row, s] : null;
  placeRing();
}

function onForeignHover(event) {
  if (!root.isConnected) return window.removeEventListener(HOVER, onForeignHover);
  const detail = event.detail || {};
  if (detail.source !== "grid" || detail.grid !== BAKED.key) lightUp(detail);
}

// The ring around the looked-at cell, row or step, and its headings in bold.
function placeRing() {
  if (!nodes.ring) return;
  const at = hovered || lit, g = geometry, whole = !!at && at[0] === WHOLE;
  nodes.ring.style.display = at && !whole ? "block" : "none";
  nodes.ring.classList.toggle("cb-lit", !hovered && !!lit);
  for (const node of nodes.marked || []) node.classList.remove("cb-at");
  nodes.marked = [];
  if (!at) return;
  const [row, s] = at, width = model.S * g.cw + g.lock;
  const box = {
    left: s < 0 ? g.lab : leftOf(s), top: row < 0 ? 0 : topOf(row),
    width: s < 0 ? width : g.cw, height: row < 0 ? topOf(model.rows - 1) + g.ch : g.ch,
  };
  for (const side in box) nodes.ring.style[side] = box[side] + "px";
  if (row >= 0) nodes.marked.push(rowHeads[row]);
  if (whole) nodes.marked.push(nodes.wholeHead);
  if (whole && stepNodes[s]) nodes.marked.push(stepNodes[s]);
  if (s >= 0) nodes.marked.push(stepHeads[s]);
  for (const node of nodes.marked) node.classList.add("cb-at");
}

function fillCellTip(box, row, s) {
  const line = (text, cls) => box.append(make("div", cls || "", {}, text));
  const title = (...parts) => box.append(make("strong", "", {}, parts.filter(Boolean).join(" · ")));
  const t = s >= 0 ? timestepText(s) : "";
  if (row === WHOLE && s >= 0) return fillStepTip(box, s);
  if (row === WHOLE) {
    title("whole steps");
    return line("What a step does besides running its blocks by the grid. Click to fill the row.", "cb-soft");
  }
  if (row < 0) {
    title(`step ${s}`, t && "t " + t);
    if (live && live.ms[s] !== undefined) line(`${live.ms[s].toFixed(1)} ms in the last run`);
    return line(s === 0 ? "Always computes: nothing is stored yet." : "Click to fill the step", "cb-soft");
  }
  if (s < 0) {
    title(`block ${blockOf(row)}`, longBranch(row));
    return line("Click to fill the row", "cb-soft");
  }
  const i = row * model.S + s, cover = coverOf(planes.steps, i, model), brush = shownBrush("cells", i);
  title(`block ${blockOf(row)}`, longBranch(row));
  line(`step ${s}` + (t && ` · t ${t}`), "cb-soft");
  const age = ranView() ? 0 : ageAt(planes, i, model);
  if (brush) box.append(make("div", "cb-state", {}, swatch(brush),
    brush.label + (age ? `, age ${age}` : "") + (s === 0 ? " (locked)" : "")));
  if (!ranView()) {
    if (cover) line(`Not run: the whole step does ${actionIs(cover).label.toLowerCase()}.`, "cb-warn");
    driftLines(i, brush, cover, line);
  }
  effectLines(i, line);
  const measured = layerText(i);
  if (measured) line(measured);
  markLines("cells", i, line);
}

// What the cell adds to the predicted drift.
function driftLines(i, brush, cover, line) {
  const part = driftOf(planes, i, model);
  if (!part) return;
  if (brush.kind === "skip" && !cover) return line("left out: counts 1");
  line(`change at lag ${part.lag}: ${threeDigits(part.change)}` +
    (part.penalty > 1 ? ` × ${part.penalty.toFixed(2)} for its age` : "") +
    (brush.kind === "reuse" && !cover ? "" : ", as if reused"));
}
