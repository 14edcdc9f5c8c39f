// The keyboard: one tab stop, arrows, painting without a pointer, undo from anywhere on the page.
const KEY_PAUSE_MS = 250;  // edits closer together than this travel as one operation

function listenToKeys() {
  root.addEventListener("keydown", onKey);
  document.addEventListener("keyup", onKeyUp, true);
  root.addEventListener("pointerdown", () => { stores.$last = BAKED.key; }, true);
  // Safari gives a clicked button no focus; without it the painter's keys would go to the page.
  root.addEventListener("click", event => {
    const button = event.isTrusted && event.target.closest("button");
    if (button && document.activeElement !== button) button.focus({preventScroll: true});
  }, true);
  root.addEventListener("focusin", () => { stores.$last = BAKED.key; });
  root.addEventListener("focusout", event => {
    if (root.contains(event.relatedTarget)) return;
    flushTyped();
    leave();
  });
  document.addEventListener("keydown", onPageKey, true);
}

// Commands of the page work wherever the focus is (after a preset it is on some button), but never
// take the keys from somebody who types. Escape drops the stroke in hand.
function onPageKey(event) {
  if (!root.isConnected) {
    document.removeEventListener("keyup", onKeyUp, true);
    return document.removeEventListener("keydown", onPageKey, true);
  }
  if (event.key === "Escape" && (stroke || peek)) {
    event.preventDefault();
    event.stopPropagation();
    return stroke ? endStroke(null, false) : endPeek();
  }
  if (stores.$last !== undefined && stores.$last !== BAKED.key) return;
  const command = commandOfKey(event, true), typing = isTyping(event.target);
  // Nobody types Ctrl + K, so that one works even in a field.
  if (!command || (typing && command.id !== "palette") || event.target.closest("dialog")) return;
  event.preventDefault();
  event.stopPropagation();
  if (command.id === "undo" || command.id === "redo") return command.run();  // says itself what it cannot
  runCommand(command);
}

const isTyping = node => !!(node.closest && node.closest(
  "input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true]"));

// A command that lasts for as long as its key is held.
function onKeyUp(event) {
  if (peek && heldKey === event.key) endPeek();
  if (heldKey === event.key) heldKey = null;
}
let heldKey = null;

function onKey(event) {
  if (event.ctrlKey && (event.key === "Home" || event.key === "End")) return corner(event);
  if (event.target.closest("dialog")) return;
  const free = nodes.table.contains(event.target) || !isTyping(event.target);
  // Enter on a button or a choice of the toolbars is that button's.
  const pressed = event.key === "Enter" && !nodes.table.contains(event.target)
    && event.target.closest("button, [role=radio], a, summary");
  const command = free && !pressed && !event.defaultPrevented ? commandOfKey(event, false) : null;
  const plain = !event.shiftKey && !event.ctrlKey && !event.metaKey && !event.altKey;
  // A letter alone is a brush's before it is a command's.
  if (command && !(plain && brushOfKey(event.key, inStepRow(event) ? "steps" : "cells"))) {
    event.preventDefault();
    if (command.hold) {
      if (!event.repeat) { heldKey = event.key; startPeek("previous"); }
      return;
    }
    return runCommand(command);
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const chosen = brushOfKey(event.key, inStepRow(event) ? "steps" : "cells");
  if (chosen && !event.shiftKey) {
    event.preventDefault();
    return setBrush(...chosen);
  }
  if (event.key === "Escape") {
    if (selection.size) setSelection([]);
    return leave();
  }
  if (!nodes.table.contains(event.target) || event.target.closest(".cb-slim-cell")) return;
  const to = arrowTarget(event.key);
  if (to) {
    event.preventDefault();
    if (event.shiftKey && store.tool === "select") return extendByKey(to);
    const from = placesAt(focusAt), there = placesAt(to);
    moveFocus(to[0], to[1], false);
    if (!event.shiftKey) return;
    const list = from.target === there.target ? [...from.list, ...there.list] : there.list;
    typePaint(there.target, list, brushOn(there.target));
  } else if (event.key === " ") {
    event.preventDefault();
    if (store.tool === "lock") return toggleLocks();
    if (selection.size) return runCommand(commandOf("fill"));
    if (store.tool === "select") return setSelection(editList(), false, editIn());
    const {target, list} = placesAt(focusAt), to = brushOn(target);
    const open = list.filter(i => !isLocked(target, i, to));
    typePaint(target, list, allHaveBrush(target, open) ? COMPUTE : to);
  } else if (event.key === "Delete" || event.key === "Backspace") {
    event.preventDefault();
    if (selection.size) return runCommand(commandOf("clear"));
    const {target, list} = placesAt(focusAt);
    typePaint(target, list, COMPUTE);
  }
}

const inStepRow = event => nodes.steps.contains(event.target);

// Rows from top to bottom: the headings, the step row when it is open, then the grid.
const lineOf = row => row === HEAD ? -2 : row === WHOLE ? -1 : row;
const rowOfLine = line => line >= 0 ? line : line === -1 && stepNodes.length ? WHOLE : HEAD;

function arrowTarget(key) {
  const [row, s] = focusAt, line = lineOf(row), page = 4 * model.R, gap = stepNodes.length ? 1 : 2;
  const to = {
    ArrowLeft: [line, s - 1], ArrowRight: [line, s + 1],
    ArrowUp: [line === 0 ? -gap : line - 1, s], ArrowDown: [line === -2 ? gap - 2 : line + 1, s],
    PageUp: [Math.max(line - page, Math.min(line, 0)), s],
    PageDown: [line + page, s], Home: [line, 0], End: [line, model.S - 1],
  }[key];
  if (!to) return null;
  const inside = [rowOfLine(clamp(to[0], -2, model.rows - 1)), clamp(to[1], -1, model.S - 1)];
  return inside[0] === HEAD && inside[1] < 0 ? [row, s] : inside;  // the corner does nothing
}

function corner(event) {
  if (!nodes.table.contains(event.target)) return;
  event.preventDefault();
  if (event.key === "Home") moveFocus(0, 0, false);
  else moveFocus(model.rows - 1, model.S - 1, false);
}

// What a place of the tab stop stands for: a cell, a row or a step, as wide as the grain says, or
// steps of the step row.
function placesAt([row, s]) {
  if (row === WHOLE)
    return {target: "steps", list: firstPlaces(s < 0 ? "allSteps" : "whole", [row, s])};
  const list = firstPlaces(row === HEAD ? "steps" : s < 0 ? "rows" : "free", [row, s]);
  if (store.grain === "cell") return {target: "cells", list};
  if (store.grain === "step") {
    const steps = new Set(list.map(i => i % model.S));
    return {target: "cells", list: [...steps].flatMap(step => firstPlaces("steps", [0, step]))};
  }
  const blocks = new Set(list.map(i => `${blockOf(rowOf(i))} ${i % model.S}`));
  return {target: "cells", list: [...blocks].flatMap(text => {
    const [block, step] = text.split(" ").map(Number);
    return model.branches.map((_, r) => (block * model.R + r) * model.S + step);
  })};
}

function moveFocus(row, s, quiet) {
  const old = nodeAt(...focusAt), node = nodeAt(row, s);
  if (!node) return;
  if (old) old.tabIndex = -1;
  focusAt = [row, s];
  if ((row >= 0 || row === WHOLE) && s >= 0 && staleLabels.has(row)) relabel();  // read out what is there now
  node.tabIndex = 0;
  node.focus({preventScroll: true});
  if (quiet) return;
  node.scrollIntoView({block: "nearest", inline: "nearest"});
  originStale = true;
  hovered = [row, s];
  placeRing();
  tellOthers(row, s);
}

function typePaint(target, list, to) {
  endPeek();
  if (typed && (typed.to !== to || typed.target !== target)) flushTyped();
  if (store.view === "ran") leaveRan();
  const open = list.filter(i => !isLocked(target, i, to));
  if (open.length < list.length && open.length < 2) {
    if (!open.length) flushTyped();  // what it says must not take the place of the refusal later
    refuse(target, list.find(i => isLocked(target, i, to)), to);
  }
  if (!open.length) return;
  typed = typed || {target, to, places: new Set(), changed: 0, timer: 0};
  for (const i of open) {
    typed.places.add(i);
    if (planes[target][i] === to) continue;
    planes[target][i] = to;
    typed.changed++;
    drawPlace(target, i);
  }
  drawReadouts();
  relabelLater();
  clearTimeout(typed.timer);
  typed.timer = setTimeout(flushTyped, KEY_PAUSE_MS);
}

function flushTyped() {
  if (!typed) return;
  const {target, places, changed, to, timer} = typed;
  typed = null;
  clearTimeout(timer);
  if (!changed) return;
  const sorted = [...places].sort((a, b) => a - b);
  commit(target, sorted, to);
  sayStroke(target, sorted, changed, to, false);
}
