// Talking with the server, the only one who decides what the schedule is. The page shows the
// server's rows with every operation on top that the server has not acknowledged yet.
let awaiting = null;   // what to say when the answer to an undo or redo comes
let nudgedAt = -1, retries = 0, waitTimer = 0;
const RETRY_MS = 5000, RETRIES = 2;

function commit(sorted, to) {
  push({op: "paint", to, cells: runsOf(sorted), of: model.cells});
}

// Undo or redo. An undo of a stroke that is still on its way shows at once; for older ones the
// rows come with the answer.
function travel(way) {
  flushTyped();
  if (stroke) endStroke(null, false);
  if (nodes[way].disabled) return say(`Nothing to ${way}.`);
  awaiting = way === "undo" ? "Undone" : "Redone";
  push({op: way});
  recompose();
}

function push(op) {
  store.rev++;
  store.pending.push({rev: store.rev, ...op});
  syncHistory();
  relabelLater();
  retries = 0;
  send();
}

// `value` must be a new object, or Gradio does not see the change.
function send() {
  if (!store.pending.length) return;
  props.value = {ops: store.pending.slice()};
  root.dataset.pending = store.pending.length;
  stats.sent++;
  trigger("input", {rev: store.rev});
  watchTheClock();
}

// Events get lost (a dropped connection, a server that raised): say so, and try again, not forever.
function watchTheClock() {
  clearTimeout(waitTimer);
  waitTimer = setTimeout(() => {
    if (!store.pending.length || !root.isConnected) return;
    root.classList.add("cb-waiting");
    if (retries++ >= RETRIES) return;
    stats.retried++;
    send();
  }, RETRY_MS);
}

function receive(value) {
  if (!value || !value.rows) return;  // our own operations, or nothing
  const heard = {
    rows: [...value.rows], ack: value.ack || 0,
    undo: value.undo ?? null, redo: value.redo ?? null,
  };
  store.value = heard;
  store.rev = Math.max(store.rev, heard.ack);
  store.pending = store.pending.filter(op => op.rev > heard.ack);
  root.dataset.pending = store.pending.length;
  if (!store.pending.length) {
    clearTimeout(waitTimer);
    root.classList.remove("cb-waiting");
  }
  history = {undo: heard.undo, redo: heard.redo};
  const parsed = parseRows(heard.rows, model);
  if (parsed) {  // else the spec of these rows is still to come
    confirmed = parsed;
    const changed = recompose();
    if (changed && !stroke) say(`${awaiting || "Schedule replaced"}: ` +
      `${changed.toLocaleString("en")} cell${changed === 1 ? "" : "s"} changed.`);
    if (!store.pending.length) awaiting = null;
  }
  syncHistory();
  reassert(heard.ack);
}

// Gradio now holds the server's answer as our value and would send it back instead of the
// operations still pending. Put them back, and knock again once if the answer brought progress.
function reassert(ack) {
  if (!store.pending.length) return;
  props.value = {ops: store.pending.slice()};
  if (ack <= nudgedAt) return;
  nudgedAt = ack;
  setTimeout(send, 0);
}

function recompose() {
  const next = confirmed.slice();
  for (const op of standing(store.pending)) applyPaint(next, op, model);
  if (typed) for (const i of typed.cells) next[i] = typed.to;
  if (stroke && stroke.touched) {  // never take the pen out of somebody's hand
    stroke.base = next.slice();
    for (const i of stroke.touched) next[i] = stroke.to;
  }
  cells = next;
  return drawCells();
}
