// Edits of the selection: copied, cut, pasted, moved, mirrored and the rest. The page works out what
// every cell becomes, shows it at once and sends it; Python checks it and makes one undo step of it.

// The brush an edit paints with; compute is no brush to fill gaps with, so then it is the first one.
const editBrush = () => brushOn("cells") || 1;

// New cells with the locked ones as they are.
function withLocks(before, after) {
  return after.map((a, i) => planes.locks[i] ? before[i] : a);
}

// Put new cells on the screen and on their way. `places`: what is selected afterwards.
function putCells(verb, after, places) {
  flushTyped();
  endPeek();
  if (store.view === "ran") leaveRan();
  const before = planes.cells, next = withLocks(before, after), changed = [];
  let kept = 0;
  for (let i = 0; i < next.length; i++) {
    if (next[i] !== before[i]) changed.push(i);
    else if (after[i] !== before[i]) kept++;
  }
  if (places) setSelection(places, true);
  const title = (COMMANDS.find(one => one.verb === verb) || {label: capital(verb)}).label;
  const held = kept ? ` ${counted(kept, "locked cell")} kept.` : "";
  if (!changed.length) { drawCells(); return say(`${title}: nothing changes.${held}`, kept ? "locked" : ""); }
  planes.cells = next;
  const used = new Set(changed.map(i => next[i]).filter(a => a && brushIs(a).key));
  push({
    op: "put", verb, cells: runsOf(changed), to: changed.map(i => DIGITS[next[i]]).join(""), of: model.cells,
    brushes: Object.fromEntries([...used].map(a => [DIGITS[a], brushIs(a).key])),
  });
  drawCells();
  drawReadouts();
  const numbers = predicted.work === null ? "" : ` Work ${percent(predicted.work)}.`;
  say(`${title}: ${counted(changed.length, "cell")} changed.${held}${numbers}`, kept ? "locked" : "");
}

// An edit of what is chosen by a function of reshape.js.
function reshape(verb, make) {
  const list = editList();
  if (!list.length) return say("Select cells first.");
  putCells(verb, make(planes.cells, list));
}

function copyCells(cut) {
  const list = editList().filter(i => i % model.S);
  if (!list.length) return say("Nothing to copy: step 0 always computes.", "locked");
  const top = Math.min(...list.map(rowOf)), left = Math.min(...list.map(i => i % model.S));
  stores.$clip = list.map(i => [rowOf(i) - top, i % model.S - left, brushIs(planes.cells[i]).key]);
  syncSelectionBar();
  if (cut) return putCells("cut", filled(planes.cells, list, COMPUTE, model));
  say(`${counted(list.length, "cell")} copied. Paste puts them at the cell in focus.`);
}

// With the upper left corner on the cell in focus; what would lie outside is left out.
function pasteCells() {
  const clip = stores.$clip;
  if (!clip) return say("Nothing to paste: copy cells first.");
  const row = Math.max(0, focusAt[0]), s = Math.max(1, focusAt[1]), next = planes.cells.slice(), places = [];
  let lost = 0;
  for (const [down, right, key] of clip) {
    const a = key === null ? COMPUTE : legendOf("cells").findIndex(brush => brush.key === key);
    if (row + down >= model.rows || s + right >= model.S || a < 0) { lost++; continue; }
    const i = (row + down) * model.S + s + right;
    next[i] = a;
    places.push(i);
  }
  if (!places.length) return say("Nothing fits here.");
  putCells("paste", next, places);
  if (lost) say(`${nodes.message.textContent} ${counted(lost, "cell")} did not fit.`);
}

function nudge(down, right) {
  const list = editList(), plan = moved(planes.cells, list, down, right, model);
  if (!list.length) return say("Select cells first.");
  if (!plan) return say("There is no room on that side.", "locked");
  if (anchor) anchor = [anchor[0] + down, anchor[1] + right];
  putCells("move", plan.cells, plan.places);
}

// Locks ------------------------------------------------------------------------------------
const lockable = list => list.filter(i => i % model.S);

function lockCells(on) {
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
  const list = lockable(editList());
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
