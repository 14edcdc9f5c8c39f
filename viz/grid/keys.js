// The keyboard: one tab stop, arrows, painting without a pointer, undo from anywhere on the page.
const KEY_PAUSE_MS = 250;  // edits closer together than this travel as one operation

function listenToKeys() {
  root.addEventListener("keydown", onKey);
  root.addEventListener("pointerdown", () => { stores.$last = BAKED.key; }, true);
  root.addEventListener("focusin", () => { stores.$last = BAKED.key; });
  root.addEventListener("focusout", event => {
    if (root.contains(event.relatedTarget)) return;
    flushTyped();
    leave();
  });
  document.addEventListener("keydown", onPageKey, true);
}

// Undo and redo work wherever the focus is (after a preset it is on some button), but never
// take the keys from somebody who types. Escape drops the stroke in hand.
function onPageKey(event) {
  if (!root.isConnected) return document.removeEventListener("keydown", onPageKey, true);
  if (event.key === "Escape" && stroke) {
    event.preventDefault();
    return endStroke(null, false);
  }
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
  if (stores.$last !== undefined && stores.$last !== BAKED.key) return;
  const typing = event.target.closest && event.target.closest(
    "input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, [contenteditable=true]");
  const key = event.key.toLowerCase();
  if (typing || (key !== "z" && key !== "y")) return;
  event.preventDefault();
  event.stopPropagation();
  travel(key === "y" || event.shiftKey ? "redo" : "undo");
}

function onKey(event) {
  if (event.ctrlKey && (event.key === "Home" || event.key === "End")) return corner(event);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const brush = brushOfKey(event.key);
  if (brush !== null) {
    event.preventDefault();
    return setBrush(brush);
  }
  if (event.key === "Escape") return leave();
  if (!nodes.table.contains(event.target)) return;
  const to = arrowTarget(event.key);
  if (to) {
    event.preventDefault();
    const from = focusAt;
    moveFocus(to[0], to[1], false);
    if (event.shiftKey) typePaint([cellsAt(from), cellsAt(to)].flat(), store.brush);
  } else if (event.key === " " || event.key === "Enter") {
    event.preventDefault();
    const list = cellsAt(focusAt), open = list.filter(i => i % model.S);
    typePaint(list, allHaveBrush(open) ? COMPUTE : store.brush);
  } else if (event.key === "Delete" || event.key === "Backspace") {
    event.preventDefault();
    typePaint(cellsAt(focusAt), COMPUTE);
  }
}

function brushOfKey(key) {
  const letters = {c: "compute", r: "reuse", f: "forecast"};
  const kind = letters[key.toLowerCase()];
  const k = kind ? model.legend.findIndex(entry => entry.kind === kind)
    : /^[0-9]$/.test(key) ? Number(key) : -1;
  return k >= 0 && k < model.legend.length ? k : null;
}

function arrowTarget(key) {
  const [row, s] = focusAt, page = 4 * model.R;
  const to = {
    ArrowLeft: [row, s - 1], ArrowRight: [row, s + 1], ArrowUp: [row - 1, s],
    ArrowDown: [row + 1, s], PageUp: [Math.max(row - page, Math.min(row, 0)), s],
    PageDown: [row + page, s], Home: [row, 0], End: [row, model.S - 1],
  }[key];
  if (!to) return null;
  const inside = [clamp(to[0], -1, model.rows - 1), clamp(to[1], -1, model.S - 1)];
  return inside[0] < 0 && inside[1] < 0 ? [row, s] : inside;  // the corner does nothing
}

function corner(event) {
  if (!nodes.table.contains(event.target)) return;
  event.preventDefault();
  if (event.key === "Home") moveFocus(0, 0, false);
  else moveFocus(model.rows - 1, model.S - 1, false);
}

// The cells a place of the tab stop stands for: one, a row or a step, in pairs if so chosen.
function cellsAt([row, s]) {
  const list = row < 0 ? firstCells("steps", [row, s]) : s < 0 ? firstCells("rows", [row, s])
    : [row * model.S + s];
  if (!store.pairs) return list;
  const blocks = new Set(list.map(i => `${blockOf(rowOf(i))} ${i % model.S}`));
  return [...blocks].flatMap(text => {
    const [block, step] = text.split(" ").map(Number);
    return model.branches.map((_, r) => (block * model.R + r) * model.S + step);
  });
}

function moveFocus(row, s, quiet) {
  const old = nodeAt(...focusAt), node = nodeAt(row, s);
  if (!node) return;
  if (old) old.tabIndex = -1;
  focusAt = [row, s];
  if (row >= 0 && s >= 0 && staleLabels.has(row)) relabel();  // read out what is there now
  node.tabIndex = 0;
  node.focus({preventScroll: true});
  if (quiet) return;
  node.scrollIntoView({block: "nearest", inline: "nearest"});
  originStale = true;
  hovered = [row, s];
  placeRing();
  tellOthers(row, s);
}

function typePaint(list, to) {
  if (typed && typed.to !== to) flushTyped();
  const open = list.filter(i => !isLocked(i, to));
  if (open.length < list.length && open.length < 2) refuse();
  if (!open.length) return;
  typed = typed || {to, cells: new Set(), changed: 0, timer: 0};
  for (const i of open) {
    typed.cells.add(i);
    if (cells[i] === to) continue;
    cells[i] = to;
    typed.changed++;
    drawCell(i);
  }
  drawReadouts();
  relabelLater();
  clearTimeout(typed.timer);
  typed.timer = setTimeout(flushTyped, KEY_PAUSE_MS);
}

function flushTyped() {
  if (!typed) return;
  const done = typed;
  typed = null;
  clearTimeout(done.timer);
  if (!done.changed) return;
  commit([...done.cells].sort((a, b) => a - b), done.to);
  sayStroke(done.changed, done.to, false);
}
