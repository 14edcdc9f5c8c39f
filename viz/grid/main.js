// Mounting: build once, then follow the props. The last file; everything above is defined by now.
function mount() {
  const before = `style.cb-style, [data-cb-key="${CSS.escape(BAKED.key)}"]`;
  for (const old of document.querySelectorAll(before)) old.remove();
  document.head.append(make("style", "cb-style", {}, BAKED.style));
  tip.dataset.cbKey = BAKED.key;
  document.body.append(tip);
  buildShell();
  takeSpec(true);
  receive(props.value && props.value.rows ? props.value : store.value);
  setLayer(prop("layer"));
  setLive(prop("live"));
  lightUp(prop("spot"));
  relabel();
  if (COARSE && store.tool === "pan") say("Drag moves the view. Choose Paint to paint with a finger.");
  else say("");
  listenToPointer();
  listenToKeys();
  window.addEventListener(HOVER, onForeignHover);
  new ResizeObserver(() => { if (!stroke) layout(); }).observe(root);
}

// A spec of another shape gets a new grid in the same place; new tables alone only new numbers.
function takeSpec(first) {
  const next = makeModel(prop("spec"));
  const shape = m => JSON.stringify([m.S, m.L, m.branches, m.legend, m.timesteps]);
  const same = !first && shape(next) === shape(model);
  const sized = next.S === model.S && next.rows === model.rows;
  model = next;
  if (same) return drawReadouts();
  if (stroke) { stroke = null; root.classList.remove("cb-busy", "cb-panning"); }
  if (!first && !sized) {  // strokes on the old cells mean nothing on the new ones
    if (typed) clearTimeout(typed.timer);
    typed = null;
    store.pending = [];
    root.dataset.pending = 0;
  }
  hovered = lit = null;
  if (!first && !sized) confirmed = new Uint8Array(model.cells);
  if (confirmed.length !== model.cells) confirmed = new Uint8Array(model.cells);
  cells = confirmed.slice();
  live = null;
  liveLength = 0;
  executed = new Uint8Array(model.cells).fill(UNKNOWN);
  buildToolbar();
  buildReadouts();
  buildGrid();
  for (let row = 0; row < model.rows; row++) staleLabels.add(row);
  drawCells();
  if (first) return;
  if (store.value) receive(store.value);
  setLayer(prop("layer"));
  setLive(prop("live"));
}

watch("spec", () => takeSpec(false));
watch("value", () => receive(props.value));
watch("layer", () => setLayer(prop("layer")));
watch("live", () => setLive(prop("live")));
watch("spot", () => lightUp(prop("spot")));
mount();

// For tests and for curious people; nothing here changes anything.
root.cbGrid = {
  rows: () => formatRows(cells, model),
  executed: () => Array.from({length: model.rows}, (_, row) =>
    Array.from(executed.subarray(row * model.S, (row + 1) * model.S),
      a => a === UNKNOWN ? "?" : a === REFUSED ? "!" : DIGITS[a]).join("")),
  predict: rows => predict(rows ? parseRows(rows, model) : cells, model),
  state: () => ({
    S: model.S, L: model.L, R: model.R, rev: store.rev, pending: store.pending.length,
    brush: store.brush, tool: store.tool, view: store.view, stroke: !!stroke, ...stats,
  }),
  cell: (row, s) => nodeAt(row, s),
};
