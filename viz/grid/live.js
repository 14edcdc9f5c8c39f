// A run in progress: the playhead on the running step, and what every cell really executed.
const UNKNOWN = 254, REFUSED = 255;
let live = null;
let asked = new Uint8Array(0);     // the schedule the run was started with
let executed = new Uint8Array(0);  // UNKNOWN where the run has not been
let liveLength = 0;                // characters already read

function setLive(raw) {
  const begun = performance.now();
  const fits = raw && raw.run !== null && raw.run !== undefined && raw.total === model.S;
  if (!fits) return clearLive();  // nothing, or a run of a schedule of another length
  if (!live || live.run !== raw.run || raw.data.length < liveLength) {
    const wasMarked = liveLength > 0;
    executed = new Uint8Array(model.cells).fill(UNKNOWN);
    asked = (raw.asked && parseRows(raw.asked, model)) || cells.slice();
    liveLength = 0;
    if (wasMarked) drawMarks();
    if (!raw.done) say("Run started.");
  }
  const was = live;
  live = {run: raw.run, step: raw.step, total: raw.total, done: !!raw.done, ms: raw.ms || []};
  readExecuted(raw.data || "");
  placePlayhead();
  if (live.done && !(was && was.run === live.run && was.done)) sayRunEnd();
  stats.liveMs.push(performance.now() - begun);
}

function clearLive() {
  live = null;
  liveLength = 0;
  executed = new Uint8Array(model.cells).fill(UNKNOWN);
  drawMarks();
  placePlayhead();
}

// Only the new part of the append-only text: column by column, row by row.
function readExecuted(text) {
  const {S, rows} = model, end = Math.min(text.length, model.cells);
  for (let n = liveLength; n < end; n++) {
    const i = (n % rows) * S + Math.floor(n / rows), digit = DIGITS.indexOf(text[n]);
    executed[i] = text[n] === "!" || digit < 0 ? REFUSED : digit;
    drawMark(i);
    staleLabels.add(rowOf(i));
  }
  liveLength = end;
  if (!live || live.done) relabelLater();
}

// "done", "differ" or null. A cell painted differently since then says nothing about the run any
// more, so its mark goes, and returns if the paint is taken back.
function markOf(i) {
  const ran = executed[i];
  if (ran === undefined || ran === UNKNOWN || cells[i] !== asked[i]) return null;
  return ran === asked[i] ? "done" : "differ";
}

function drawMark(i) {
  const mark = markOf(i), node = cellNodes[i];
  if (mark) {
    if (node.dataset.ran !== mark) node.dataset.ran = mark;
  } else if (node.dataset.ran) delete node.dataset.ran;
}

function drawMarks() {
  for (let i = 0; i < cellNodes.length; i++) drawMark(i);
}

function ranText(i) {
  const ran = executed[i];
  return ran === REFUSED ? "something else" : model.legend[ran] ? model.legend[ran].label.toLowerCase() : "?";
}

function sayRunEnd() {
  let differ = 0;
  for (let i = 0; i < executed.length; i++)
    if (executed[i] !== UNKNOWN && executed[i] !== asked[i]) differ++;
  const total = live.ms.reduce((sum, ms) => sum + ms, 0);
  say("Run finished" + (total ? ` in ${total.toFixed(0)} ms` : "") + (differ
    ? `: ${differ} cell${differ > 1 ? "s" : ""} did not run as painted (marked ≠).`
    : ": every cell ran as painted."));
}

function placePlayhead() {
  if (!nodes.playhead) return;
  const on = live && !live.done && live.step >= 0 && live.step < model.S;
  nodes.playhead.style.display = on ? "block" : "none";
  if (on) nodes.playhead.style.transform = `translateX(${leftOf(live.step)}px)`;
  const past = live ? (live.done ? Math.floor(liveLength / model.rows) : live.step) : 0;
  stepHeads.forEach((node, s) => {
    const state = s < past ? "past" : on && s === live.step ? "now" : "";
    if (node.dataset.run !== state) node.dataset.run = state;
  });
}
