// The selection: which cells are chosen, by pointer and by keys, and the bar with what can be done.
//
// Steps of the step row are selected like cells: its numbers are steps, and it is a grid of one row.
let selection = new Set();  // numbers of cells or of steps
let chosenIn = "cells";     // which of the two
let anchor = null;          // [row, step] a rectangle is drawn from

const chosenList = () => [...selection].sort((a, b) => a - b);
const chosenCount = () => counted(selection.size, chosenIn === "steps" ? "step" : "cell");
// What an edit is of: the selection or, without one, the place of the tab stop.
const editIn = () => selection.size ? chosenIn : placesAt(focusAt).target;
const editList = () => selection.size ? chosenList() : [...placesAt(focusAt).list].sort((a, b) => a - b);
const gridOf = where => where === "steps" ? {S: model.S, L: 1, R: 1, rows: 1} : model;

function setSelection(list, quiet, where = "cells") {
  selection = new Set(list);
  chosenIn = where;
  overlayLater();
  syncSelectionBar();
  if (!quiet) saySelection();
}

function saySelection() {
  if (!selection.size) return say("Nothing selected.");
  if (chosenIn === "steps") return say(`${chosenCount()} of the step row selected.`);
  const rows = new Set(), steps = new Set();
  for (const i of selection) { rows.add(rowOf(i)); steps.add(i % model.S); }
  const box = rows.size * steps.size === selection.size ? `, ${counted(rows.size, "row")} by ${counted(steps.size, "step")}` : "";
  say(`${counted(selection.size, "cell")} selected${box}.`);
}

// Cells of a rectangle between two places, widened to whole blocks or steps by the grain.
function rectangle(one, other) {
  const list = [];
  let top = Math.min(one[0], other[0]), bottom = Math.max(one[0], other[0]);
  if (store.grain === "block") {
    top = blockOf(top) * model.R;
    bottom = blockOf(bottom) * model.R + model.R - 1;
  } else if (store.grain === "step") { top = 0; bottom = model.rows - 1; }
  for (let row = top; row <= bottom; row++)
    for (let s = Math.min(one[1], other[1]); s <= Math.max(one[1], other[1]); s++) list.push(row * model.S + s);
  return list;
}

// By pointer: a drag over cells, headings or labels. Shift or Ctrl adds; a drag that starts on the
// selection moves what it holds, and shows it where it would go.
function beginSelect(event, at, mode) {
  const where = mode === "whole" || mode === "allSteps" ? "steps" : "cells";
  if (where === "steps") at = [0, at[1]];
  const i = at[0] * model.S + at[1], same = chosenIn === where;
  const adding = (event.shiftKey || event.ctrlKey || event.metaKey) && same;
  const moving = ["free", "whole"].includes(mode) && same && !adding && selection.has(i) && selection.size > 0;
  stroke = {
    id: event.pointerId, mode, target: "cells", start: at, last: at, pan: null, pointer: event,
    select: {where, before: adding ? new Set(selection) : new Set(), moving, list: chosenList(), by: [0, 0], plan: null},
  };
  nodes.scroll.setPointerCapture(event.pointerId);
  setState("drawing", true);
  hold();
  anchor = at;
  if (!moving) extendSelect(at);
}

function extendSelect(at) {
  const {start, mode, select} = stroke;
  if (select.where === "steps") at = [0, at[1]];
  stroke.last = at;
  if (select.moving) return dragSelection(at);
  if (select.where === "steps")
    return setSelection([...select.before, ...mode === "allSteps" ? span(0, model.S - 1) : span(start[1], at[1])], true, "steps");
  const from = mode === "rows" ? [start[0], 0] : mode === "steps" ? [0, start[1]] : start;
  const to = mode === "rows" ? [at[0], model.S - 1] : mode === "steps" ? [model.rows - 1, at[1]] : at;
  setSelection([...select.before, ...rectangle(from, to)], true);
}

function dragSelection(at) {
  const {start, select} = stroke, {where} = select, by = [at[0] - start[0], at[1] - start[1]];
  if (by[0] === select.by[0] && by[1] === select.by[1]) return;
  const plan = by[0] || by[1] ? moved(select.cells || planes[where], select.list, ...by, gridOf(where)) : null;
  if ((by[0] || by[1]) && !plan) return;  // it would leave the grid: it stays where it was last
  select.cells = select.cells || planes[where].slice();
  select.by = by;
  select.plan = plan;
  planes[where].set(select.cells);
  if (plan) planes[where].set(withLocks(select.cells, plan.cells, where));
  drawCells();
  setSelection(plan ? plan.places : select.list, true, where);
}

function endSelect(done, keep) {
  const {select, start, last} = done, {where} = select;
  if (select.cells) planes[where].set(select.cells);
  if (!keep) setSelection(select.moving ? select.list : [...select.before], true, where);
  else if (select.plan) return putCells("move", select.plan.cells, select.plan.places, where);
  else if (select.moving && start[0] === last[0] && start[1] === last[1]) setSelection([start[0] * model.S + start[1]], false, where);
  else saySelection();
  drawCells();
}

const span = (one, other) => Array.from({length: Math.abs(other - one) + 1}, (_, k) => Math.min(one, other) + k);

// By keys, in the select tool: Shift and an arrow draw the rectangle from where it began.
function extendByKey(to) {
  const where = focusAt[0] === WHOLE && to[0] === WHOLE ? "steps" : "cells";
  if (!anchor || !selection.size || chosenIn !== where) anchor = focusAt.slice();
  moveFocus(to[0], to[1], false);
  if (where === "steps") return setSelection(to[1] < 0 ? span(0, model.S - 1) : span(Math.max(0, anchor[1]), to[1]), false, where);
  const inside = ([row, s]) => [clamp(row, 0, model.rows - 1), clamp(s, 0, model.S - 1)];
  const whole = to[0] < 0 ? "steps" : to[1] < 0 ? "rows" : "";
  const from = inside(anchor), at = inside(to);
  setSelection(whole === "rows" ? rectangle([from[0], 0], [at[0], model.S - 1])
    : whole === "steps" ? rectangle([0, from[1]], [model.rows - 1, at[1]]) : rectangle(from, at));
}

function selectAll() { setSelection(span(0, planes[editIn()].length - 1), false, editIn()); }

function selectRows() {
  if (editIn() === "steps") return selectAll();
  const rows = new Set(editList().map(rowOf));
  setSelection([...rows].flatMap(row => rectangle([row, 0], [row, model.S - 1])));
}

function selectSteps() {
  const steps = new Set(editList().map(i => i % model.S));
  setSelection([...steps].flatMap(s => rectangle([0, s], [model.rows - 1, s])));
}

function selectSame() {
  const where = editIn(), like = new Set(editList().map(i => planes[where][i])), list = [];
  planes[where].forEach((a, i) => { if (like.has(a) && (i % model.S || like.has(COMPUTE) && like.size > 1)) list.push(i); });
  setSelection(list, false, where);
}

// The bar under the grid, so that nothing above moves when it comes: it opens with the select tool
// and whenever something is selected.
function buildSelectionBar() {
  nodes.selectionCount = make("span", "cb-selected", {});
  const button = command => {
    const node = make("button", "cb-button cb-text-button", {
      type: "button", title: tooltipOf(command), "data-command": command.id,
      "aria-keyshortcuts": ariaKeys(command), "aria-haspopup": command.fields ? "dialog" : null,
    }, command.short || command.label);
    node.addEventListener("click", () => runCommand(command));
    return node;
  };
  const groups = [...new Set(COMMANDS.filter(one => one.bar).map(one => one.bar))];
  nodes.selectionBar.replaceChildren(nodes.selectionCount, ...groups.map(name => make("div", "cb-strip-group",
    {role: "group", "aria-label": name}, ...COMMANDS.filter(one => one.bar === name).map(button))));
  syncSelectionBar();
}

function syncSelectionBar() {
  if (!nodes.selectionCount) return;
  nodes.selectionBar.hidden = !selection.size && store.tool !== "select";
  nodes.selectionCount.textContent = selection.size ? `${chosenCount()} selected` : "Drag over cells to select";
  for (const node of nodes.selectionBar.querySelectorAll("[data-command]")) {
    const command = commandOf(node.dataset.command);
    node.disabled = !(command.bar === "Select" || command.id === "paste" ? canRun(command) : selection.size && canRun(command));
  }
}
