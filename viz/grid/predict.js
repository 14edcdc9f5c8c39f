// What a schedule is predicted to cost and to change, from the model's tables (no page here).
// caching/predict/proxy.py has the formula in words and is the authority; a test holds the two to
// each other to the last digit, so every sum here adds the same terms in the same order.
function predict(planes, model) {
  const {S, rows} = model, {cells, steps} = planes, t = model.tables;
  const {cells: legend, steps: actions} = model.legends;
  let macs = 0, ms = 0, drift = 0, standing = 0, covered = 0, oldest = 0, fullMacs = 0, fullMs = 0;
  const busy = new Uint8Array(S);  // steps where any cell computes any part of its branch
  for (let row = 0; row < rows; row++) {
    let age = 0;
    for (let s = 0, i = row * S; s < S; s++, i++) {
      const cover = coverOf(steps, i, model), computed = cells[i] === COMPUTE && !cover;
      age = computed || !s ? 0 : age + 1;
      if (cover) covered++;
      else if (!computed) standing++;
      if (age > oldest) oldest = age;
      if (!t) continue;
      const brush = legend[cells[i]], batch = actions[steps[s]].half ? 0.5 : 1;
      const part = computed ? 1 : cover ? 0 : shareOf(brush, row);
      if (part > 0) busy[s] = 1;
      macs += batch * part * t.computeMacs[row];
      ms += batch * (computed ? t.computeMs[row] : cover ? 0
        : t.reuseMs[row] + part * (t.computeMs[row] - t.reuseMs[row])
          + (brush.kind === "forecast" ? t.forecastMs : 0));
      if (age) drift += !cover && brush.kind === "skip" ? 1
        : t.change[i * t.K + Math.min(age, t.K) - 1] * Math.max(1, age / t.K);
      fullMacs += t.computeMacs[row];
      fullMs += t.computeMs[row];
    }
  }
  const counts = {standing, covered, reused: standing + covered, cells: model.cells, oldest};
  if (!t) return {...counts, work: null, speedup: null, drift: null};
  const fixed = fixedOf(steps, busy, model);
  return {
    ...counts, ...fixed, macs, fullMacs, ms, fullMs, driftSum: drift,
    work: (fixed.fixedMacs + macs) / (fixed.fullFixedMacs + fullMacs),
    speedup: (fixed.fullFixedMs + fullMs) / (fixed.fixedMs + ms),
    drift: drift / model.cells,
  };
}

// What all steps take outside the branches, as painted and in the full run.
function fixedOf(steps, busy, model) {
  const t = model.tables, kept = t.fixedMacs - t.embedMacs - t.headMacs;
  let fixedMacs = 0, fixedMs = 0, fullFixedMacs = 0, fullFixedMs = 0;
  for (let s = 0; s < model.S; s++) {
    const {half, embeds, heads} = model.legends.steps[steps[s]], batch = half ? 0.5 : 1;
    fixedMacs += kept + batch * ((embeds ? t.embedMacs : 0) + (heads ? t.headMacs : 0));
    fixedMs += batch * (embeds || heads ? t.fixedMs : 0) + batch * busy[s] * t.busyMs;
    fullFixedMacs += t.fixedMacs;
    fullFixedMs += t.fixedMs + t.busyMs;
  }
  return {fixedMacs, fixedMs: fixedMs + t.startMs, fullFixedMacs, fullFixedMs: fullFixedMs + t.startMs};
}

// What a brush computes of a branch: nothing where it says nothing, or where nobody knows.
const shareOf = (brush, row) => brush.macs_share && brush.macs_share.length ? brush.macs_share[row] : 0;

// What one cell adds to the drift sum, with the numbers it is made of; null if it is computed.
function driftOf(planes, i, model) {
  const t = model.tables, age = ageAt(planes, i, model);
  if (!t || !age) return null;
  const lag = Math.min(age, t.K), change = t.change[i * t.K + lag - 1];
  return {age, lag, change, penalty: Math.max(1, age / t.K)};
}

// Numbers for people ------------------------------------------------------------------------

function siMacs(macs) {
  for (const [unit, size] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]])
    if (macs >= size) return (macs / size).toPrecision(3) + " " + unit;
  return String(macs);
}

const threeDigits = x => x === 0 ? "0" : x >= 0.001 ? x.toFixed(3) : x.toExponential(1);

const percent = x => (100 * x).toFixed(1) + " %";

const capital = text => text.charAt(0).toUpperCase() + text.slice(1);

const counted = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

// The brushes a grid is painted with, without compute.
function inUse(planes, model) {
  const used = new Set(planes.cells);
  return model.legends.cells.filter((_, k) => k && used.has(k));
}

// The readouts: value, and the formula with the numbers of this schedule filled in.
function readoutTexts(p, planes, model) {
  const t = model.tables, none = {value: "–", note: "", tip: ["No tables for this model yet."]};
  const texts = {cells: cellsText(p, model), work: none, speedup: none, drift: none};
  if (!t) return texts;
  const used = inUse(planes, model);
  texts.work = {
    value: percent(p.work), note: "",
    tip: [
      "work = (fixed + computed) / (fixed + all branches), in multiply-adds",
      `= (${siMacs(p.fixedMacs)} + ${siMacs(p.macs)}) / (${siMacs(p.fullFixedMacs)} + ` +
        `${siMacs(p.fullMacs)}) = ${percent(p.work)}`,
      workCaveat(used),
    ],
  };
  texts.speedup = {
    value: p.speedup.toFixed(2) + "×", note: "",
    tip: [
      "speed-up = time of the full run / time of this schedule",
      `= ${p.fullFixedMs.toFixed(1)} + ${p.fullMs.toFixed(1)} ms / ` +
        `${p.fixedMs.toFixed(1)} + ${p.ms.toFixed(1)} ms = ${p.speedup.toFixed(2)}×`,
      "First term: outside the branches. " + capital(t.source) + ".",
    ],
  };
  texts.drift = t.change.some(change => change > 0) ? driftText(p, used, t)
    // Zeros would promise that reuse costs nothing.
    : {value: "–", note: "(proxy)", tip: ["Not known before the first full run of this model."]};
  return texts;
}

function cellsText(p, model) {
  return {
    value: p.reused.toLocaleString("en"),
    note: "of " + p.cells.toLocaleString("en"),
    tip: [
      "Cells that take a stored or predicted output, or do not run at all, instead of computing.",
      `${model.L} blocks × ${model.R} branches × ${model.S} steps = ${p.cells.toLocaleString("en")}`,
      ...(p.covered ? [`${counted(p.covered, "cell")} of them left out by whole-step actions.`] : []),
      `Longest run without computing: ${counted(p.oldest, "step")}.`,
    ],
  };
}

const named = brushes => brushes.map(brush => brush.label).join(", ");

function workCaveat(used) {
  const unknown = used.filter(brush => brush.macs_share === null), notes = used.filter(brush => brush.notes);
  if (unknown.length) return `Not counted: what ${named(unknown)} computes, unknown before the model is loaded.`;
  if (notes.length) return `Without what ${named(notes)} notes where branches are computed.`;
  return "Exact: it follows from the schedule alone.";
}

function driftText(p, used, t) {
  const others = used.filter(brush => brush.kind !== "reuse" && brush.kind !== "skip");
  const skips = used.some(brush => brush.kind === "skip");
  return {
    value: threeDigits(p.drift), note: "(proxy)",
    tip: [
      "drift = Σ change at the cell's age × max(1, age / K) / cells, over reused cells",
      `= ${p.driftSum.toFixed(2)} / ${p.cells.toLocaleString("en")} = ${threeDigits(p.drift)}, ` +
        `K = ${t.K}`,
      "A proxy: it ranks schedules, it is not an image error. " + capital(t.source) + ".",
      ...(others.length || p.covered ? ["Measured for reuse: " +
        [...others.map(brush => brush.label), ...(p.covered ? ["covered cells"] : [])].join(", ") +
        " count as if reused, rather too much."] : []),
      ...(skips ? ["A branch that is left out changes by all of itself: 1."] : []),
    ],
  };
}
