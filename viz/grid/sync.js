// Talking with the server, the only one who decides what the schedule is. The page shows the
// server's rows with every operation on top that the server has not acknowledged yet.
let awaiting = null;   // what to say when the answer to an undo or redo comes
let awaited = null;    // the name of what it takes back or does again
let nudgedAt = -1, retries = 0, waitTimer = 0;
const RETRY_MS = 5000, RETRIES = 2;

// The key says which brush is meant, should the legend change while the stroke travels.
function commit(target, sorted, to) {
  const key = to ? legendOf(target)[to].key : null;
  push({
    op: target === "cells" ? "paint" : "steps", to, [target]: runsOf(sorted),
    of: planes[target].length, ...(key ? {brush: key} : {}),
  });
}

// Undo or redo. An undo of a stroke that is still on its way shows at once; for older ones the
// rows come with the answer.
function travel(way) {
  flushTyped();
  if (stroke) endStroke(null, false);
  if (nodes[way].disabled) return say(`Nothing to ${way}.`);
  endPeek();
  awaiting = way === "undo" ? "Undone" : "Redone";
  awaited = history[way];
  push({op: way});
  recompose();
}

function push(op) {
  store.rev++;
  store.pending.push({rev: store.rev, ...op});
  retries = 0;
  send();
  syncHistory();
  relabelLater();
}

// On the painter's line, where it has one, the answer comes in milliseconds; the event that brings
// the rest of the page up to date follows when the pointer rests. One message at a time: the next
// one takes along what was painted meanwhile.
const LATE_MS = 60, REST_MS = 80, LONGEST_REST_MS = 1000;
let onLine = false, restTimer = 0, restSince = 0;

function send() {
  if (!store.pending.length) return;
  const line = prop("line");
  if (line && !onLine) ring(line);
  root.dataset.pending = store.pending.length;
  watchTheClock();
  if (!line) tellGradio();
}

function ring(line, method) {
  const answer = fetch(BAKED.base + BAKED.line, {
    method: "POST", body: JSON.stringify({line, ops: store.pending, choose: method}), priority: "high",
  });
  onLine = true;
  stats.sent++;
  const last = store.rev, late = setTimeout(offer, LATE_MS);
  const done = value => {
    onLine = false;
    clearTimeout(late);
    if (!value && method && !store.pending.length) return;
    if (!value) return tellGradio();  // the server has started anew, or refuses to read this
    if (value.spec) {
      props.spec = value.spec;
      takeSpec(false);
    }
    receive(value);
    if (!method) restLater();
    if (store.pending.length && store.rev > last) send();
  };
  return answer.then(found => found.ok ? found.json() : null).then(done, () => done(null));
}

// A method of the page's list, whose event waits for what this gives: the time at which its rows
// are on the screen, but not for ever. Null: there is no line, or it is taken, and the event is all.
const CHOSEN_MS = 400;

function chooseMethod(method) {
  flushTyped();
  if (stroke) endStroke(null, false);
  endPeek();
  const line = prop("line");
  if (!line || onLine) return null;
  const shown = ring(line, method).then(() =>
    new Promise(done => requestAnimationFrame(() => setTimeout(done))));
  return Promise.race([shown, new Promise(done => setTimeout(done, CHOSEN_MS))]);
}

// What is pending goes along with whatever event comes next: a run must not start without it.
// `value` must be a new object, or Gradio does not see the change.
function offer() {
  if (!store.pending.length) return;
  props.value = {ops: store.pending.slice()};
  root.dataset.offered = store.pending.length;
}

// Of two events of one moment Gradio lets both run at once, and their answers may overtake each
// other: one takes along all that is pushed in it.
let telling = false;

function tellGradio() {
  offer();
  if (telling) return;
  telling = true;
  queueMicrotask(() => {
    telling = false;
    stats.sent++;
    trigger("input", {rev: store.rev});
  });
}

// A pointer that goes on painting puts the rest off, but not for ever.
function restLater() {
  restSince = restSince || performance.now();
  clearTimeout(restTimer);
  restTimer = setTimeout(() => {
    const long = performance.now() - restSince > LONGEST_REST_MS;
    if ((stroke && stroke.touched && !long) || onLine) return restLater();
    restSince = 0;
    if (root.isConnected) trigger("input", {rev: store.rev});
  }, REST_MS);
}

// Events get lost (a dropped connection, a server that raised): say so, and try again, not forever.
function watchTheClock() {
  clearTimeout(waitTimer);
  waitTimer = setTimeout(() => {
    if (!store.pending.length || !root.isConnected) return;
    setState("waiting", true);
    if (retries++ >= RETRIES) return;
    stats.retried++;
    onLine = false;  // whatever became of that message, it is not waited for any longer
    watchTheClock();
    tellGradio();
  }, RETRY_MS);
}

// What takes the server long to find out is not in its answer to a stroke: until the event that
// follows brings it, what was last heard stands.
const orLast = (value, name) => (value[name] === undefined ? store.value && store.value[name] : value[name]) || null;

// Answers may overtake each other: one from before what we have heard is no news. A server that has
// started anew knows none of our operations, and speaks of a session of another name.
function isOlder(heard, last) {
  if (heard.at && last.at) return heard.at[0] === last.at[0] && heard.at[1] < last.at[1];
  return heard.ack > 0 && heard.ack < last.ack;
}

function receive(value) {
  if (!value || !value.rows) return;  // our own operations, or nothing
  const heard = {
    rows: [...value.rows], steps: value.steps || null, ack: value.ack || 0,
    undo: value.undo ?? null, redo: value.redo ?? null, expected: orLast(value, "expected"),
    keys: value.keys || null,
    locks: value.locks || [], kept: value.kept || 0, history: orLast(value, "history"), others: value.others || {},
    late: value.expected === undefined, at: value.at || null,
    refused: value.refused ? {rev: value.refused.rev, words: String(value.refused.words)} : null,
  };
  const before = store.value ? store.value.ack : 0;
  if (store.value && isOlder(heard, store.value)) return keepOffering();
  store.value = heard;
  store.rev = Math.max(store.rev, heard.ack);
  store.pending = store.pending.filter(op => op.rev > heard.ack);
  root.dataset.pending = store.pending.length;
  if (!store.pending.length) {
    clearTimeout(waitTimer);
    setState("waiting", false);
    delete root.dataset.offered;
  }
  history = {undo: heard.undo, redo: heard.redo};
  const planesHeard = numbered(heard);
  if (planesHeard) {  // else the spec of these rows is still to come
    confirmed = planesHeard;
    const changed = recompose();
    if (changed && store.view === "ran" && !stroke) leaveRan();
    if (changed) showDecided();
    const held = heard.kept ? ` ${counted(heard.kept, "locked cell")} kept.` : "";
    if ((changed || held) && !stroke)
      say(`${awaiting || "Schedule replaced"}: ${changed || "nothing"} changed.${held}`, held ? "locked" : "");
    else if (awaiting && awaited && !stroke && !store.pending.length) say(`${awaiting}: ${awaited}.`);  // a setting
    if (!store.pending.length) awaiting = awaited = null;
  }
  const {refused} = heard, inForm = form && refused && form.waits === refused.rev;
  if (refused && refused.rev > before && !inForm) say(`Not taken: ${refused.words}`, "locked");
  settleForm(heard.ack, refused);
  syncHistory();
  drawReadouts();  // with the cells, in one frame
  reassert(heard.ack);
}

// What was heard as planes in the numbers of the page's own brushes. A value and the spec with its
// brushes may come in either order: null while a brush that it uses is not here yet.
function numbered({rows, steps, keys, locks}) {
  const held = new Uint8Array(model.cells);
  for (let n = 0; n < locks.length; n += 2) held.fill(1, locks[n], locks[n] + locks[n + 1]);
  if (!keys) {
    const cells = parseRows(rows, model), whole = parseSteps(steps, model);
    return cells && whole && {cells, steps: whole, locks: held};
  }
  const all = DIGITS.length;
  const found = {cells: parseRows(rows, model, all), steps: parseSteps(steps, model, all)};
  for (const target of ["cells", "steps"]) {
    const own = [0, ...(keys[target] || []).map(key => legendOf(target).findIndex(b => b.key === key))];
    if (!found[target] || found[target].some(k => (own[k] ?? -1) < 0)) return null;
    found[target] = found[target].map(k => own[k]);
  }
  return {...found, locks: held};
}

// Gradio now holds the server's answer as our value and would send it back instead of the
// operations still pending. Put them back, and knock again once if the answer brought progress.
function keepOffering() {
  if (store.pending.length) props.value = {ops: store.pending.slice()};
}

function reassert(ack) {
  if (!store.pending.length) return;
  keepOffering();
  if (ack <= nudgedAt) return;
  nudgedAt = ack;
  setTimeout(send, 0);
}

// The server's word with everything on top that it has not seen; says what changed on the screen.
function recompose() {
  const was = peek && present ? present : planes;
  const next = {cells: confirmed.cells.slice(), steps: confirmed.steps.slice(), locks: confirmed.locks.slice()};
  for (const op of standing(store.pending)) if (isStroke(op) && !op.lost) applyPaint(next, op, model);
  if (typed) for (const i of typed.places) next[typed.target][i] = typed.to;
  if (stroke && stroke.touched) {  // never take the pen out of somebody's hand
    stroke.base = next[stroke.target].slice();
    for (const i of stroke.touched) next[stroke.target][i] = stroke.to;
  }
  present = next;
  planes = peek ? shownOther(peek) || next : next;
  if (stroke && stroke.select && stroke.select.moving) {  // what is dragged goes on top, anew
    Object.assign(stroke.select, {cells: null, plan: null, by: [0, 0]});
    dragSelection(stroke.last);
  }
  for (const i of planes.locks.keys()) if (was.locks[i] !== planes.locks[i]) staleLabels.add(rowOf(i));
  drawCells();
  overlayLater();
  const different = target => was[target].length !== next[target].length ? next[target].length
    : next[target].reduce((sum, a, i) => sum + (a !== was[target][i]), 0);
  const [cells, steps, locks] = [different("cells"), different("steps"), different("locks")];
  return [...(locks ? [counted(locks, "lock")] : []), ...(cells ? [counted(cells, "cell")] : []), ...(steps ? [counted(steps, "step")] : [])].join(", ");
}

// The legends have changed: everything that is numbered by them gets its new number.
function renumber(was) {
  const now = {}, moved = {};
  for (const target of ["cells", "steps"]) {
    now[target] = numbersIn(was[target], legendOf(target));
    // A brush of the same name in the same place has only got other parameters.
    moved[target] = now[target].map((k, old) => k >= 0 ? k
      : legendOf(target)[old] && legendOf(target)[old].name === was[target][old].name ? old : -1);
    for (const plane of [confirmed, planes])
      plane[target] = plane[target].map(k => Math.max(0, moved[target][k] ?? 0));
    store.brushes[target] = moved[target][store.brushes[target]] ?? 1;
    if (store.brushes[target] < 0) store.brushes[target] = Math.min(1, legendOf(target).length - 1);
  }
  for (const op of store.pending) {
    if (!isStroke(op) || op.op === "lock") continue;
    if (op.op === "put") { renumberPut(op, moved[op.in || "cells"]); continue; }
    const k = moved[op.op === "steps" ? "steps" : "cells"][op.to] ?? -1;
    op.lost = k < 0;
    if (k >= 0) op.to = k;
  }
  if (stroke && stroke.touched && stroke.target !== "locks") {
    const k = moved[stroke.target][stroke.to];
    if (k >= 0) stroke.to = k; else endStroke(null, false);
  }
  numberRun();
}

// The keys of its brushes go with its digits.
function renumberPut(op, moved) {
  const now = digit => moved[DIGITS.indexOf(digit)] ?? -1, brushes = {};
  op.lost = op.lost || [...op.to].some(digit => now(digit) < 0);
  if (op.lost) return;
  for (const digit in op.brushes) brushes[DIGITS[now(digit)]] = op.brushes[digit];
  op.to = [...op.to].map(digit => DIGITS[now(digit)]).join("");
  op.brushes = brushes;
}
