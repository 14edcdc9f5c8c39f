// A run in progress: the playhead on the running step, and what every cell really executed.
const UNKNOWN = 254, REFUSED = 255, COVERED = 127, PARTLY = 126, LOWERED = 128;
const SIGNS = {"!": REFUSED, "#": COVERED, "%": PARTLY};
let live = null;
// What really ran, and the schedule the run was started with, both in the run's own numbers.
let ran = {cells: new Uint8Array(0), steps: new Uint8Array(0)};
let asked = {cells: new Uint8Array(0), steps: new Uint8Array(0)};
let liveLength = 0;  // characters already read
let endWords = "";   // what was said of the last run

function setLive(raw) {
  const begun = performance.now();
  if (!isOfThisGrid(raw)) return clearLive();
  const fresh = !live || live.run !== raw.run || raw.data.length < liveLength;
  if (fresh) beginLive(raw);
  const was = live;
  live = {
    ...live, step: raw.step, total: raw.total, done: !!raw.done, ms: raw.ms || [],
    decided: (raw.decided || []).map(pair => [...pair]),
  };
  live.scored = live.decided.some(([score, limit]) => score !== null && limit !== null);
  readExecuted(raw.data || "", raw.steps || "");
  live.whole = live.whole || ran.steps.some(mark => mark && mark !== UNKNOWN);
  fitSteps();
  if (fresh) followRun();
  if (ranView()) refreshReadouts();
  placePlayhead();
  showDecided();
  checkLayer();
  if (live.done && !(was.done && !fresh)) {
    sayRunEnd();
    endWords = nodes.message.textContent;
  }
  stats.liveMs.push(performance.now() - begun);
}

// Not nothing, nor a run on a grid of other steps or rows: another model's may still be on its way.
function isOfThisGrid(raw) {
  if (!raw || raw.run === null || raw.run === undefined || raw.total !== model.S) return false;
  return !raw.asked || raw.asked.length === model.rows;
}

// A run of another name: nothing is known of it yet.
function beginLive(raw) {
  const wasMarked = liveLength > 0;
  const given = list => JSON.parse(JSON.stringify(list));
  live = {
    run: raw.run, done: false, policy: raw.policy || null, ms: [], decided: [], scored: false,
    legends: raw.legend ? {
      cells: [COMPUTES].concat(given(raw.legend)), steps: [RUNS].concat(given(raw.step_legend || [])),
    } : {...model.legends},
  };
  forgetRun();
  const sizes = [live.legends.cells.length, live.legends.steps.length];
  const rows = raw.asked && parseRows(raw.asked, model, sizes[0]);
  asked = rows ? {cells: rows, steps: parseSteps(raw.asked_steps, model, sizes[1])}
    : {cells: planes.cells.slice(), steps: planes.steps.slice()};
  numberRun();
  if (wasMarked) drawMarks();
  if (!raw.done) say(live.policy ? `${live.policy} decides now.` : "Run started.");
}

function forgetRun() {
  ran = {cells: new Uint8Array(model.cells).fill(UNKNOWN), steps: new Uint8Array(model.S).fill(UNKNOWN)};
  liveLength = 0;
}

// Where the run's brushes are on the page now; again whenever the page's legends change.
function numberRun() {
  if (!live) return;
  live.now = {};
  for (const target of ["cells", "steps"])
    live.now[target] = numbersIn(live.legends[target], legendOf(target));
}

function clearLive() {
  const seen = ranView();
  if (endWords && nodes.message.textContent === endWords) say("");  // that run is of another grid
  endWords = "";
  live = null;
  forgetRun();
  if (seen) setView("plan");
  fitSteps();
  drawMarks();
  placePlayhead();
  showDecided();
}

// Under a policy the paint says nothing about the run, so the page shows what ran, until somebody
// paints or a run of the schedule itself begins.
function followRun() {
  if (live.policy && store.view === "plan") {
    store.ranFor = live.run;
    setView("ran");
  } else if (!live.policy && store.ranFor !== null) leaveRan();
  else if (ranView()) redraw();
}

function leaveRan() {
  store.ranFor = null;
  if (store.view === "ran") setView("plan");
}

// A brush of the run: the page's own where it is there, for the colour that was chosen for it.
function ranBrush(target, k) {
  const now = live.now[target][k];
  return now >= 0 ? legendOf(target)[now] : live.legends[target][k];
}

// Only the new part of the append-only text: column by column, row by row.
function readExecuted(text, stepText) {
  const {S, rows} = model, end = Math.min(text.length, model.cells), from = liveLength;
  for (let s = Math.floor(from / rows); s < Math.ceil(end / rows); s++)
    ran.steps[s] = stepText ? readMark(stepText[s], "steps") : COMPUTE;
  for (let n = from; n < end; n++) {
    const i = (n % rows) * S + Math.floor(n / rows);
    ran.cells[i] = readMark(text[n], "cells");
    if (ranView()) drawCell(i);
    drawMark("cells", i);
    staleLabels.add(rowOf(i));
  }
  for (let s = Math.floor(from / rows); s < Math.ceil(end / rows); s++) {
    drawStep(s);
    drawMark("steps", s);
  }
  liveLength = end;
  staleLabels.add(WHOLE);
  if (!live || live.done) relabelLater();
}

function readMark(sign, target) {
  if (sign === undefined) return UNKNOWN;
  if (SIGNS[sign]) return SIGNS[sign];
  const digit = DIGITS.indexOf(sign), lowered = sign.charCodeAt(0) - 64;
  const k = digit >= 0 ? digit : lowered;
  if (k < 0 || k >= live.legends[target].length) return REFUSED;
  return digit >= 0 ? k : k | LOWERED;
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
