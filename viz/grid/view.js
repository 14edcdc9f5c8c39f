// The grid on the page: building it, laying it out, and finding cells by position.
let cellNodes = [], rowHeads = [], stepHeads = [];

function buildShell() {
  nodes.bar = make("div", "cb-bars");
  nodes.readouts = make("div", "cb-readouts", {role: "group", "aria-label": "Predictions"});
  nodes.selectionBar = make("div", "cb-strip-bar", {
    role: "toolbar", "aria-label": "Selection", hidden: "", "data-testid": "selection-bar",
  });
  nodes.scroll = make("div", "cb-scroll");
  nodes.decided = make("div", "cb-decided", {hidden: "", "data-testid": "grid-decided"});
  nodes.key = make("div", "cb-key", {hidden: "", "data-testid": "grid-key"});
  nodes.message = make("div", "cb-message", {
    role: "status", "aria-live": "polite", "data-testid": "grid-message",
  });
  root.replaceChildren(nodes.bar, nodes.readouts, nodes.scroll, nodes.decided, nodes.key,
    nodes.message, nodes.selectionBar);
  root.id = uid;
  root.dataset.tool = store.tool;
  root.dataset.view = store.view;
}

// Build every cell anew: at the first mount and when the shape changes, never else.
function buildGrid() {
  stats.builds++;
  const {S, rows} = model;
  staleLabels = new Set();  // of the old rows
  cellNodes = new Array(model.cells);
  rowHeads = [];
  stepHeads = [];
  shown.cells = new Uint16Array(model.cells).fill(NOTHING);
  const head = make("div", "cb-row cb-head", {role: "row", "aria-rowindex": 1},
    make("div", "cb-corner", {role: "columnheader", "aria-label": "block, by step"},
      make("span", "", {}, "block"), make("span", "", {}, "step")));
  for (let s = 0; s < S; s++) stepHeads.push(stepHead(s));
  head.append(...stepHeads);
  nodes.rows = make("div", "cb-rows", {role: "rowgroup"});
  for (let row = 0; row < rows; row++) nodes.rows.append(rowNode(row));
  nodes.heads = make("div", "cb-heads", {role: "rowgroup"}, head, buildSteps());
  nodes.playhead = make("div", "cb-playhead", {"aria-hidden": "true"});
  nodes.ring = make("div", "cb-ring", {"aria-hidden": "true"});
  nodes.rows.append(nodes.ring);
  nodes.table = make("div", "cb-table", {
    role: "grid", "aria-rowcount": rows + 2, "aria-colcount": S + 1,
    "aria-label": `Schedule: ${model.L} blocks with ${model.branches.join(" and ")}, ${S} steps`,
  }, nodes.heads, nodes.rows, nodes.playhead);
  nodes.scroll.replaceChildren(nodes.table);
  focusAt = [Math.min(focusAt[0], rows - 1), clamp(focusAt[1], -1, S - 1)];
  markStop();
  buildOverlay();
  styleLegend();
  layout();
}

function stepHead(s) {
  const t = timestepText(s), locked = s === 0;
  const node = make("div", "cb-step" + (locked ? " cb-lock" : ""), {
    role: "columnheader", tabindex: -1, "data-step": s, "aria-colindex": s + 2,
    "aria-label": `step ${s}${t && ", t " + t}` +
      (locked ? ", always computes" : ", Space fills the step"),
  });
  if (locked) node.append(icon("lock"));
  else node.append(make("span", "", {}, String(s)));
  return node;
}

function rowNode(row) {
  const {S, R} = model, first = row % R === 0;
  const head = make("div", "cb-label-cell", {
    role: "rowheader", tabindex: -1, "data-row": row, "aria-colindex": 1,
    "aria-label": `block ${blockOf(row)}, ${longBranch(row)}, Space fills the row`,
  });
  if (first) head.append(make("b", "", {}, String(blockOf(row))));
  head.append(make("span", "", {}, branchOf(row)));
  rowHeads.push(head);
  const node = make("div", "cb-row" + (row % R === R - 1 ? " cb-last" : ""), {
    role: "row", "aria-rowindex": row + 3,
  }, head);
  for (let s = 0; s < S; s++) {
    const cell = make("div", "cb-cell", {
      role: "gridcell", tabindex: -1, "data-row": row, "data-step": s, "aria-colindex": s + 2,
      "aria-readonly": s === 0 ? "true" : null,
    });
    cellNodes[row * S + s] = cell;
    node.append(cell);
  }
  return node;
}

// Layout ------------------------------------------------------------------------------------
const FIT_HEIGHT = 566, FIT_HEIGHT_NARROW = 440;  // of all rows together, in pixels

function layout() {
  resized = false;
  if (!nodes.table || !model.cells) return;
  const width = root.clientWidth;
  if (!width) return;
  const narrow = width < 560, g = geometry, {S, rows, R} = model;
  root.classList.toggle("cb-narrow", narrow);
  const tall = narrow ? FIT_HEIGHT_NARROW : FIT_HEIGHT;
  const fitted = clamp(Math.floor(tall / (rows + rows / R * 0.15)), 7, 24);
  const dense = store.zoom === "fit" && fitted < 12;  // then only blocks are named
  const label = dense ? 36 : narrow ? 50 : 76, frame = 2, room = width - frame - label;
  if (store.zoom === "fit") {
    g.ch = fitted;
    g.cw = clamp(Math.floor((room - 3) / S), 5, Math.max(24, Math.round(g.ch * 1.7)));
  } else {
    g.cw = store.zoom === "150" ? 36 : 24;
    g.ch = store.zoom === "150" ? 33 : 22;
  }
  const small = Math.min(g.cw, g.ch);
  g.gap = small >= 16 ? 2 : 1;
  g.group = g.ch >= 20 ? 4 : g.ch >= 12 ? 3 : R > 1 ? 1 : 0;
  g.lock = g.cw >= 9 ? 3 : 1;
  // Whole pixels keep every outline sharp; what is left over widens the labels a little.
  const spare = room - g.lock - g.cw * S;
  g.lab = label + (store.zoom === "fit" ? clamp(spare, 0, narrow ? 14 : 34) : 0);
  g.head = 24;
  const scored = live && live.scored, open = stepRowOpen();
  g.whole = (open ? clamp(g.ch, narrow ? 16 : 18, 24) : COARSE ? 40 : 24) + (scored ? 18 : 0);
  const sizes = {lab: g.lab, head: g.head, whole: g.whole, cw: g.cw, ch: g.ch, gap: g.gap, group: g.group, lock: g.lock};
  for (const name in sizes) root.style.setProperty(`--cb-n-${name}`, sizes[name] + "px");
  root.dataset.size = small >= 16 ? "large" : small >= 9 ? "medium" : "small";
  root.classList.toggle("cb-dense", dense);
  fixTable();
  const every = g.cw >= 20 ? 1 : g.cw >= 10 ? (S > 60 ? 10 : 5) : 10;
  stepHeads.forEach((node, s) => node.classList.toggle("cb-tick", s % every === 0));
  originStale = true;
  placePlayhead();
  placeRing();
  overlayLater();
}

// The table's size as a number, so that painting in it never has the page around laid out anew.
function fixTable() {
  const {scroll} = nodes;
  scroll.classList.remove("cb-fixed");
  const sizes = {wide: scroll.offsetWidth, tall: scroll.offsetHeight};
  for (const name in sizes) scroll.style.setProperty(`--cb-n-${name}`, sizes[name] + "px");
  scroll.classList.add("cb-fixed");
}

const leftOf = s => geometry.lab + s * geometry.cw + (s > 0 ? geometry.lock : 0);
const topOf = row => row * geometry.ch + blockOf(row) * geometry.group;

// Cells by arithmetic: asking the page which element lies under a pointer would force a layout at
// every move. The origin is measured once and again after anything scrolled or resized.
let resized = false;  // while a stroke was in hand
let origin = {x: 0, y: 0}, frameBox = null, originStale = true;

function cellFrom(clientX, clientY) {
  if (originStale) {
    const box = nodes.rows.getBoundingClientRect();
    origin = {x: box.left, y: box.top};
    frameBox = nodes.scroll.getBoundingClientRect();
    originStale = false;
  }
  const g = geometry, x = clientX - origin.x - g.lab, y = clientY - origin.y;
  const tall = g.ch * model.R + g.group, block = clamp(Math.floor(y / tall), 0, model.L - 1);
  const row = block * model.R + clamp(Math.floor((y - block * tall) / g.ch), 0, model.R - 1);
  const s = x < g.cw ? 0 : clamp(Math.floor((x - g.lock) / g.cw), 0, model.S - 1);
  return [row, s];
}

function nodeAt(row, s) {
  if (row === HEAD) return stepHeads[Math.max(s, 0)];
  if (row === WHOLE) return s < 0 ? nodes.wholeHead : stepNodes[s];
  return s < 0 ? rowHeads[row] : cellNodes[row * model.S + s];
}
