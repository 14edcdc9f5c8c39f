// What a schedule is predicted to cost and to change, from the model's tables (no page here).
// Python holds the same formula; a test holds the two against each other.
//
//   work   = (S fixed_macs + sum over computed cells of compute_macs) / (the same, all computed)
//   ms     = S fixed_ms + sum over cells of (computed ? compute_ms : reuse_ms)
//   drift  = sum over reused cells of change[cell, min(age, K)] * max(1, age / K) / cells
function predict(cells, model) {
  const {S, rows} = model, t = model.tables;
  let macs = 0, ms = 0, drift = 0, reused = 0, oldest = 0, fullMacs = 0, fullMs = 0;
  for (let row = 0; row < rows; row++) {
    let age = 0, computed = 0;
    for (let s = 0, i = row * S; s < S; s++, i++) {
      if (cells[i] === COMPUTE) { age = 0; computed++; continue; }
      age++;
      reused++;
      if (age > oldest) oldest = age;
      if (t) drift += t.change[i * t.K + Math.min(age, t.K) - 1] * Math.max(1, age / t.K);
    }
    if (!t) continue;
    macs += computed * t.computeMacs[row];
    ms += computed * t.computeMs[row] + (S - computed) * t.reuseMs[row];
    fullMacs += S * t.computeMacs[row];
    fullMs += S * t.computeMs[row];
  }
  const counts = {reused, cells: model.cells, oldest};
  if (!t) return {...counts, work: null, speedup: null, drift: null};
  const fixedMacs = S * t.fixedMacs, fixedMs = S * t.fixedMs;
  return {
    ...counts,
    work: (fixedMacs + macs) / (fixedMacs + fullMacs),
    speedup: (fixedMs + fullMs) / (fixedMs + ms),
    drift: drift / model.cells,
    fixedMacs, macs, fullMacs, fixedMs, ms, fullMs, driftSum: drift,
  };
}

// What one cell adds to the drift sum, with the numbers it is made of; null if it is computed.
function driftOf(cells, i, model) {
  const t = model.tables, age = ageAt(cells, i, model);
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

// The readouts: value, and the formula with the numbers of this schedule filled in.
function readoutTexts(p, model) {
  const t = model.tables, none = {value: "–", note: "", tip: ["No tables for this model yet."]};
  const texts = {
    cells: {
      value: p.reused.toLocaleString("en"),
      note: "of " + p.cells.toLocaleString("en"),
      tip: [
        "Cells that take a stored or predicted output instead of computing.",
        `${model.L} blocks × ${model.R} branches × ${model.S} steps = ${p.cells.toLocaleString("en")}`,
        `Longest run without computing: ${p.oldest} step${p.oldest === 1 ? "" : "s"}.`,
      ],
    },
    work: none, speedup: none, drift: none,
  };
  if (!t) return texts;
  texts.work = {
    value: percent(p.work), note: "",
    tip: [
      "work = (fixed + computed) / (fixed + all branches), in multiply-adds",
      `= (${siMacs(p.fixedMacs)} + ${siMacs(p.macs)}) / (${siMacs(p.fixedMacs)} + ` +
        `${siMacs(p.fullMacs)}) = ${percent(p.work)}`,
      "Exact: it follows from the schedule alone.",
    ],
  };
  texts.speedup = {
    value: p.speedup.toFixed(2) + "×", note: "",
    tip: [
      "speed-up = time of the full run / time of this schedule",
      `= ${p.fixedMs.toFixed(1)} + ${p.fullMs.toFixed(1)} ms / ` +
        `${p.fixedMs.toFixed(1)} + ${p.ms.toFixed(1)} ms = ${p.speedup.toFixed(2)}×`,
      "First term: outside the branches. " + capital(t.source) + ".",
    ],
  };
  if (!t.change.some(change => change > 0)) {  // zeros would promise that reuse costs nothing
    texts.drift = {
      value: "–", note: "(proxy)", tip: ["Not known before the first full run of this model."],
    };
    return texts;
  }
  texts.drift = {
    value: threeDigits(p.drift), note: "(proxy)",
    tip: [
      "drift = Σ change at the cell's age × max(1, age / K) / cells, over reused cells",
      `= ${p.driftSum.toFixed(2)} / ${p.cells.toLocaleString("en")} = ${threeDigits(p.drift)}, ` +
        `K = ${t.K}`,
      "A proxy: it ranks schedules, it is not an image error. " + capital(t.source) + ".",
    ],
  };
  return texts;
}

const capital = text => text.charAt(0).toUpperCase() + text.slice(1);
