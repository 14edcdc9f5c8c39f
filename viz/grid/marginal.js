// What one cell is worth: the prediction with it toggled minus the prediction now (no page here).
// A computed cell is toggled to reuse, any other one to compute.
//
// The PSNR with it toggled is the PSNR now, moved as far as the response moves: the sum over cells
// of the squared error that each causes in the final latent. The difference of two PSNRs from the
// regression would be worse, because it is smooth over schedules at large and not from one cell to
// the next: against 144 measured toggles it missed by twice as much, and said two to three times
// what happened.

// What all cells are compared with: the schedule as it is, by PSNR where the calibration `q` knows
// its brushes, else by drift where changes were measured; null where neither is known.
function makeBase(q, planes, model) {
  const stand = q ? standOf(q, planes, model) : null, t = model.tables;
  const base = {planes, model, unknown: stand && stand.unknown || null};
  if (stand && !stand.unknown) return {
    ...base, kind: "psnr", ...stand, now: psnrOf(q, stand.sums), spare: makeEffects(q, 1),
    response: sumOf(stand.sums.rowOwn), reused: sumOf(stand.sums.rowReused),
  };
  if (!t || !t.change.some(change => change > 0)) return null;
  return {...base, kind: "drift", now: predict(planes, model).driftSum / model.cells};
}

// Beyond `best` rounding decides; equal pictures count as that.
function psnrOf(q, sums) {
  if (!sums.rowReused.some(count => count)) return q.best;
  const z = inSpreads(q.runs, featuresOf(q, sums));
  return Math.min(q.best, dbOf(q.runs, z, nearness(q.runs, z).near));
}

// {kind, to, now, then, change, ms, ...} of cell i, or null where toggling it does nothing: step 0
// is always computed, and what a whole-step action covers does not run.
function effectOf(base, i) {
  const {planes, model} = base, s = i % model.S;
  if (!s || coverOf(planes.steps, i, model)) return null;
  const to = planes.cells[i] === COMPUTE ? "reuse" : "compute";
  const found = base.kind === "psnr" ? psnrWith(base, i) : {then: driftWith(base, i, to)};
  return {
    kind: base.kind, to, now: base.now, ...found, change: found.then - base.now, ...timeWith(base, i, to),
  };
}

function psnrWith({q, as, sums, spare, now, response, reused}, i) {
  const {S} = q, row = Math.floor(i / S), line = as.slice(row * S, (row + 1) * S);
  line[i % S] = line[i % S] === COMPUTED ? REUSED : COMPUTED;
  fillRow(q, row, line, spare, 0);
  if (!reused) {  // nothing to move from: the prediction itself
    const alone = makeSums(q), whole = as.slice();
    whole.set(line, row * S);
    addRow(q, alone, row, spare, 0);
    addAnswered(q, alone, row, spare, 0, whole);
    return {then: psnrOf(q, alone)};
  }
  // Of a last cell that is computed nothing is left, which is far beyond the best.
  const moved = Math.max(0, response - sums.rowOwn[row]) + sumOf(spare.own);
  return {then: Math.min(q.best, now - inDb(moved) + inDb(response)), response, moved};
}

// Only the cell's own row ages otherwise.
function driftWith({planes, model, now}, i, to) {
  const {S} = model, row = Math.floor(i / S);
  const along = toggled => {
    let sum = 0;
    for (let s = 0, age = 0, at = row * S; s < S; s++, at++) {
      const cover = coverOf(planes.steps, at, model), here = at === i && toggled;
      const brush = model.legends.cells[planes.cells[at]];
      const computed = !cover && (here ? to === "compute" : planes.cells[at] === COMPUTE);
      age = computed || !s ? 0 : age + 1;
      if (age) sum += !here && !cover && brush.kind === "skip" ? 1 : changeAt(model, at, age);
    }
    return sum;
  };
  return now + (along(true) - along(false)) / model.cells;
}

const changeAt = ({tables: t}, i, age) =>
  t.change[i * t.K + Math.min(age, t.K) - 1] * Math.max(1, age / t.K);

// Milliseconds of the cell as it is and as it would be, for the batch that its step runs; with what
// the step takes more, if no other cell of it computes anything.
function timeWith({planes, model}, i, to) {
  const t = model.tables, row = Math.floor(i / model.S);
  if (!t) return {ms: null};
  const batch = model.legends.steps[planes.steps[i % model.S]].half ? 0.5 : 1;
  const wakes = t.busyMs && !busyBeside(planes, i, model) ? t.busyMs : 0;
  const computes = batch * (t.computeMs[row] + wakes);
  const brush = model.legends.cells[planes.cells[i]];
  const part = to === "compute" ? shareOf(brush, row) : 0;
  const extra = to === "compute" && brush.kind === "forecast" ? t.forecastMs : 0;
  const stands = batch * (t.reuseMs[row] + extra + part * (t.computeMs[row] - t.reuseMs[row])
    + (part > 0 ? wakes : 0));
  const [msNow, msThen] = to === "compute" ? [stands, computes] : [computes, stands];
  return {ms: msThen - msNow, msNow, msThen};
}

// Whether another cell of the step computes any part of its branch.
function busyBeside({cells, steps}, i, model) {
  const own = Math.floor(i / model.S);
  for (let row = 0, at = i % model.S; row < model.rows; row++, at += model.S)
    if (row !== own && !coverOf(steps, at, model)
      && (cells[at] === COMPUTE || shareOf(model.legends.cells[cells[at]], row) > 0)) return true;
  return false;
}

// In words ---------------------------------------------------------------------------------

const signed = (text, x) => (x < 0 ? "−" : x > 0 ? "+" : "±") + text(Math.abs(x));

const twoPlaces = x => x >= 10 ? x.toFixed(1) : x.toFixed(2);

// Drifts of one cell are small, and far apart.
const effectSize = (kind, x) => kind === "psnr" ? twoPlaces(x) : x ? x.toPrecision(2) : "0";

// "costs 0.41 dB and saves 0.29 ms"
function effectWords({kind, change, ms}) {
  const size = effectSize(kind, Math.abs(change));
  const worth = kind === "psnr" ? `${change > 0 ? "wins" : "costs"} ${size} dB`
    : `${change > 0 ? "adds" : "takes"} ${size} ${change > 0 ? "to" : "off"} the drift (proxy)`;
  if (ms === null) return worth;
  return `${worth} and ${ms > 0 ? "takes" : "saves"} ${twoPlaces(Math.abs(ms))} ms${ms > 0 ? " more" : ""}`;
}

// A method may leave dozens of brushes.
const someOf = brushes => brushes.length < 4 ? named(brushes)
  : `${named(brushes.slice(0, 2))} and ${brushes.length - 2} other brushes`;

const togglingIt = to => to === "reuse" ? "reusing it" : "computing it";

// The lines of a tooltip: the effect, and the formula with its numbers.
function effectTexts(effect, base) {
  const {kind, to, now, then, change, msNow, msThen, ms} = effect, name = to === "reuse" ? "reused" : "computed";
  const of = x => kind === "psnr" ? x.toFixed(2) : x.toPrecision(4);
  const lines = [`${capital(togglingIt(to))} ${effectWords(effect)}.`];
  const what = kind === "psnr" ? "PSNR" : "drift (proxy)";
  if (effect.moved !== undefined) lines.push(
    `PSNR if ${name} = PSNR now − 10 log₁₀(response if ${name} / response now) = ${of(now)} − 10 log₁₀(` +
    `${effect.moved.toExponential(2)} / ${effect.response.toExponential(2)}) = ${of(then)} dB`);
  else lines.push(`${what} if ${name} − ${what} now = ${of(then)} − ${of(now)} = ` +
    signed(x => effectSize(kind, x), change) + (kind === "psnr" ? " dB" : ""));
  if (ms !== null) lines.push(`time if ${name} − time now = ${twoPlaces(msThen)} − ${twoPlaces(msNow)} = ` +
    `${signed(twoPlaces, ms)} ms`);
  if (kind === "psnr" && (now === base.q.best || then === base.q.best))
    lines.push(`${base.q.best} dB stands for equal pictures: beyond it rounding decides.`);
  if (kind === "drift") lines.push(base.unknown
    ? `By drift, because no PSNR was calibrated for ${someOf(base.unknown)}.`
    : "By drift, because no PSNR was calibrated for this setting.");
  return lines;
}

// What a cell has room for, on a scale that ends at `high`: "−.04", "+1.2", "−12"; drift in
// thousandths.
const inUnits = (kind, x) => kind === "psnr" ? x : 1000 * x;

function shortEffect(kind, change, high) {
  const size = Math.abs(inUnits(kind, change)), places = size >= 9.95 ? 0 : inUnits(kind, high) < 0.5 && size < 0.995 ? 2 : 1;
  const text = size.toFixed(places).replace(/^0\./, ".");
  return Number(text) ? (change < 0 ? "−" : "+") + text : "0";
}
