// Mounting: build once, then follow the props. The last file; everything above is defined by now.
function mount() {
  const before = `style.cb-style, [data-cb-key="${CSS.escape(BAKED.key)}"]`;
  for (const old of document.querySelectorAll(before)) old.remove();
  document.head.append(make("style", "cb-style", {}, BAKED.style));
  tip.dataset.cbKey = BAKED.key;
  document.body.append(tip);
  buildShell();
  takeSpec(true);
  receive(toldValue() || store.value);
  setLayer(prop("layer"));
  setLive(prop("live"));
  lightUp(prop("spot"));
  setQuality(prop("quality"));
  relabel();
  if (COARSE && store.tool === "pan") say("Drag moves the view. Choose Paint to paint with a finger.");
  else say("");
  listenToPointer();
  listenToKeys();
  window.addEventListener(HOVER, onForeignHover);
  new ResizeObserver(() => {
    if (stroke) resized = true; else layout();
    if (form) placeForm();
  }).observe(root);
}

// A spec of another shape gets a new grid in the same place; other brushes a new legend over the
// same cells; new tables alone only new numbers.
function takeSpec(first) {
  flushTyped();
  const was = model, next = makeModel(prop("spec"));
  const shape = m => JSON.stringify([m.S, m.L, m.branches, m.timesteps]);
  const same = !first && shape(next) === shape(was);
  model = next;
  if (!same) return takeShape(first, was);
  if (JSON.stringify(next.legends) !== JSON.stringify(was.legends)) takeLegends(was.legends);
  drawReadouts();
}

function takeLegends(was) {
  const last = document.activeElement, inBar = nodes.legends.contains(last);
  renumber(was);
  if (store.value && store.value.keys) {  // it may have waited for these brushes
    const heard = numbered(store.value);
    if (heard) { confirmed = heard; recompose(); }
  }
  buildBrushes();
  styleLegend();
  fitSteps();
  followForm(was);
  redraw();
  drawMarks();
  settleForm(store.value ? store.value.ack : 0, store.value && store.value.refused);
  if (inBar && !form && !root.contains(document.activeElement)) nodes.brushes.focusChosen();
}

function takeShape(first, was) {
  const sized = model.S === was.S && model.rows === was.rows;
  if (stroke) { stroke = null; putDown(); }
  if (!first && !sized) {  // strokes on the old cells mean nothing on the new ones
    store.pending = [];
    root.dataset.pending = 0;
  }
  if (!first) closeForm(false);
  hovered = lit = null;
  const empty = (old, size) => sized && old.length === size ? old : new Uint8Array(size);
  confirmed = {
    cells: empty(confirmed.cells, model.cells), steps: empty(confirmed.steps, model.S), locks: empty(confirmed.locks, model.cells),
  };
  planes = {cells: confirmed.cells.slice(), steps: confirmed.steps.slice(), locks: confirmed.locks.slice()};
  present = peek = anchor = null;
  if (!sized) selection = new Set();
  live = null;
  asked = {cells: planes.cells, steps: planes.steps};
  forgetRun();
  buildToolbar();
  buildReadouts();
  buildGrid();
  for (let row = 0; row < model.rows; row++) staleLabels.add(row);
  staleLabels.add(WHOLE);
  drawCells();
  drawReadouts();  // at once: the pointer may rest on one
  if (first) return;
  if (store.value) receive(store.value);
  setLayer(prop("layer"));
  setLive(prop("live"));
}

// Props that come together are taken in this order, whichever is told first: a value is numbered by
// the brushes of the spec it comes with.
const TAKE = {
  spec: () => takeSpec(false), value: () => receive(toldValue()), layer: () => setLayer(prop("layer")),
  live: () => setLive(prop("live")), spot: () => lightUp(prop("spot")),
  quality: () => setQuality(prop("quality")),
};
const due = new Set();

function later(name) {
  if (!due.size) queueMicrotask(() => {
    const names = Object.keys(TAKE).filter(one => due.has(one));
    due.clear();
    for (const one of names) TAKE[one]();
  });
  due.add(name);
}

for (const name of Object.keys(TAKE)) watch(name, () => later(name));
mount();

// For tests and for curious people; only `choose` changes anything.
root.cbGrid = {
  choose: chooseMethod,
  rows: () => formatRows(planes.cells, model),
  steps: () => formatSteps(planes.steps),
  executed: () => Array.from({length: model.rows}, (_, row) =>
    Array.from(ran.cells.subarray(row * model.S, (row + 1) * model.S), markSign).join("")),
  executedSteps: () => Array.from(ran.steps, markSign).join(""),
  predict: (rows, steps) => predict({
    cells: rows ? parseRows(rows, model) : planes.cells, steps: steps ? parseSteps(steps, model) : planes.steps,
  }, model),
  quality: (rows, steps) => knownQuality() && expectPsnr(knownQuality(), {
    cells: rows ? parseRows(rows, model) : planes.cells, steps: steps ? parseSteps(steps, model) : planes.steps,
  }, model),
  effects: () => effects && !effectJob ? effects.list : null,
  legend: target => legendOf(target).map(brush => brush.label),
  state: () => ({
    S: model.S, L: model.L, R: model.R, rev: store.rev, pending: store.pending.length,
    selected: chosenList(), selectedIn: chosenIn, locks: Array.from(planes.locks.keys()).filter(i => planes.locks[i]),
    differ: differing(), peek, grain: store.grain, brush: store.brushes.cells, stepBrush: store.brushes.steps, tool: store.tool, view: store.view,
    stroke: !!stroke, focus: focusAt, ...stats,
  }),
  cell: (row, s) => nodeAt(row, s),
  reshape: (name, list, ...given) => {
    const edits = {mirrored, rotated, everyNth, randomised, inverted, keptEnds, moved};
    const made = edits[name](planes.cells, list, ...given, model);
    return made && formatRows(made.cells || made, model);
  },
  commands: () => COMMANDS.map(({id, keys}) => [id, keys || []]),
  gestures: () => GESTURES.map(([keys]) => keys),
};

function markSign(mark) {
  if (mark === UNKNOWN) return "?";
  const sign = Object.keys(SIGNS).find(one => SIGNS[one] === mark);
  return sign || (mark & LOWERED ? String.fromCharCode(64 + (mark & ~LOWERED)) : DIGITS[mark]);
}
