// Edits of the selection: copied, cut, pasted, moved, mirrored and the rest. The page works out what
// every cell becomes, shows it at once and sends it; Python checks it and makes one undo step of it.

// The brush an edit paints with; compute is no brush to fill gaps with, so then it is the first one.
const editBrush = where => brushOn(where) || Math.min(1, legendOf(where).length - 1);

// New cells with the locked ones as they are, or new steps with those that a lock is in the way of.
// The planes must still hold what was before.
function withLocks(before, after, where) {
  return after.map((a, i) => (where === "steps" ? a !== before[i] && isLocked(where, i, a) : planes.locks[i]) ? before[i] : a);
}

// Put new cells, or new steps of the step row, on the screen and on their way. `places`: what is
// selected afterwards.
function putCells(verb, after, places, where = "cells") {
  flushTyped();
  endPeek();
  if (store.view === "ran") leaveRan();
  const before = planes[where], next = withLocks(before, after, where), changed = [];
  let kept = 0;
  for (let i = 0; i < next.length; i++) {
    if (next[i] !== before[i]) changed.push(i);
    else if (after[i] !== before[i]) kept++;
  }
  if (places) setSelection(places, true, where);
  const title = (COMMANDS.find(one => one.verb === verb) || {label: capital(verb)}).label;
  const kind = where === "steps" ? "step" : "cell", held = kept ? ` ${counted(kept, `locked ${kind}`)} kept.` : "";
  if (!changed.length) { drawCells(); return say(`${title}: nothing changes.${held}`, kept ? "locked" : ""); }
  planes[where] = next;
  const legend = legendOf(where), used = new Set(changed.map(i => next[i]).filter(a => a && legend[a].key));
  push({
    op: "put", in: where, verb, cells: runsOf(changed), to: changed.map(i => DIGITS[next[i]]).join(""), of: next.length,
    brushes: Object.fromEntries([...used].map(a => [DIGITS[a], legend[a].key])),
  });
  drawCells();
  drawReadouts();
  const numbers = predicted.work === null ? "" : ` Work ${percent(predicted.work)}.`;
  say(`${title}: ${counted(changed.length, kind)} changed.${held}${numbers}`, kept ? "locked" : "");
}

// An edit of what is chosen by a function of reshape.js, which is given a grid and what it is of.
function reshape(verb, make) {
  const list = editList(), where = editIn();
  if (!list.length) return say("Select cells first.");
  putCells(verb, make(planes[where], list, gridOf(where), where), null, where);
}

function copyCells(cut) {
  const where = editIn(), list = editList().filter(i => i % model.S), kind = where === "steps" ? "step" : "cell";
  if (!list.length) return say("Nothing to copy: step 0 always computes.", "locked");
  const top = Math.min(...list.map(rowOf)), left = Math.min(...list.map(i => i % model.S));
  stores.$clip = {where, list: list.map(i => [rowOf(i) - top, i % model.S - left, legendOf(where)[planes[where][i]].key])};
  syncSelectionBar();
  if (cut) return putCells("cut", filled(planes[where], list, COMPUTE, gridOf(where)), null, where);
  say(`${counted(list.length, kind)} copied. Paste puts them at the ${kind} in focus.`);
}

// With the upper left corner on the cell in focus, steps at its step; what would lie outside is left
// out.
function pasteCells() {
  const clip = stores.$clip;
  if (!clip) return say("Nothing to paste: copy cells first.");
  const {where, list} = clip, next = planes[where].slice(), places = [];
  const row = where === "steps" ? 0 : Math.max(0, focusAt[0]), s = Math.max(1, focusAt[1]);
  let lost = 0;
  for (const [down, right, key] of list) {
    const a = key === null ? COMPUTE : legendOf(where).findIndex(brush => brush.key === key);
    if (row + down >= gridOf(where).rows || s + right >= model.S || a < 0) { lost++; continue; }
    const i = (row + down) * model.S + s + right;
    next[i] = a;
    places.push(i);
  }
  if (!places.length) return say("Nothing fits here.");
  putCells("paste", next, places, where);
  if (lost) say(`${nodes.message.textContent} ${counted(lost, where === "steps" ? "step" : "cell")} did not fit.`);
}

function nudge(down, right) {
  const where = editIn(), list = editList(), plan = moved(planes[where], list, down, right, gridOf(where));
  if (!list.length) return say("Select cells first.");
  if (!plan) return say("There is no room on that side.", "locked");
  if (anchor) anchor = [anchor[0] + down, anchor[1] + right];
  putCells("move", plan.cells, plan.places, where);
}

// Locks ------------------------------------------------------------------------------------
const lockable = list => list.filter(i => i % model.S);

function lockCells(on) {
  if (editIn() === "steps") return say("Cells are locked, not whole steps: choose the step's heading instead.");
  const list = lockable(editList());
  const changed = list.filter(i => planes.locks[i] !== (on ? 1 : 0));
  if (!changed.length) return say(list.length ? `${on ? "Locked" : "Unlocked"} already.` : "Step 0 needs no lock: it always computes.");
  flushTyped();
  for (const i of changed) { planes.locks[i] = on ? 1 : 0; staleLabels.add(rowOf(i)); }
  sendLocks(changed, on);
}

function sendLocks(sorted, on) {
  push({op: "lock", on, cells: runsOf(sorted), of: model.cells});
  overlayLater();
  syncSelectionBar();
  say(`${counted(sorted.length, "cell")} ${on ? "locked: nothing changes them until they are unlocked" : "unlocked"}.`);
}

// Locked cells are unlocked when all are, else all are locked.
function toggleLocks() {
  const list = editIn() === "steps" ? [] : lockable(editList());
  lockCells(!(list.length && list.every(i => planes.locks[i])));
}

function unlockAll() {
  const list = [];
  planes.locks.forEach((on, i) => { if (on) list.push(i); });
  if (!list.length) return say("Nothing is locked.");
  planes.locks.fill(0);
  for (const i of list) staleLabels.add(rowOf(i));
  sendLocks(list, false);
}
