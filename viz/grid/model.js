// The painted grid as plain numbers: shape, legends, rows of digits, strokes and their replay.
// Nothing in this file touches the page. Cells are counted row by row: i = row * S + s.
const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz";
const COMPUTE = 0;  // of a cell; 0 of a step: run the blocks by the grid

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

const COMPUTES = {name: "compute", kind: "compute", label: "Compute", letter: "C", key: null};
const RUNS = {
  name: "run", kind: "run", label: "Run blocks", letter: "C", key: null,
  covers: [0, 0], embeds: true, heads: true, half: false, at_first: true,
};

// Shape, names and tables of a spec, ready for use. Lists are copied out of Gradio's proxies.
function makeModel(raw) {
  const spec = JSON.parse(JSON.stringify(raw || {}));
  const S = spec.steps || 0, L = spec.blocks || 0;
  const branches = spec.branches || ["attn", "mlp"], R = branches.length;
  return {
    S, L, R, rows: L * R, cells: L * R * S, branches,
    legends: {cells: [COMPUTES].concat(spec.legend || []), steps: [RUNS].concat(spec.step_legend || [])},
    timesteps: spec.timesteps || null,
    tables: spec.tables ? makeTables(spec.tables, S, L * R) : null,
  };
}

// Tables with the change reordered from (S, L, R, K) to row by row, as the cells are.
function makeTables(raw, S, rows) {
  const K = raw.change.k, halves = decodeHalves(raw.change.data), change = new Float64Array(halves.length);
  for (let s = 0; s < S; s++)
    for (let row = 0; row < rows; row++)
      for (let k = 0; k < K; k++)
        change[(row * S + s) * K + k] = halves[(s * rows + row) * K + k];
  return {
    K, change, source: raw.source || "",
    fixedMs: raw.fixed_ms, computeMs: raw.compute_ms, reuseMs: raw.reuse_ms, forecastMs: raw.forecast_ms || 0,
    busyMs: raw.busy_ms || 0, startMs: raw.start_ms || 0,
    fixedMacs: raw.fixed_macs, computeMacs: raw.compute_macs,
    embedMacs: raw.embed_macs || 0, headMacs: raw.head_macs || 0,
  };
}

// base64 of little-endian float16 to numbers; browsers have no Float16Array yet.
function decodeHalves(text) {
  const bytes = atob(text), out = new Float64Array(bytes.length >> 1);
  for (let i = 0; i < out.length; i++) {
    const bits = bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8);
    const exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24
      : exponent === 31 ? 0  // infinity and NaN never help a sum
      : (1 + fraction / 1024) * 2 ** (exponent - 15);
    out[i] = bits & 0x8000 ? -size : size;
  }
  return out;
}

// Rows of digits to one array, or null if they are not of this model's shape. `size` actions are
// known; any other becomes compute.
function parseRows(rows, model, size = model.legends.cells.length) {
  if (!rows || rows.length !== model.rows) return null;
  const cells = new Uint8Array(model.cells);
  for (let row = 0; row < model.rows; row++) {
    const line = parseSteps(rows[row], model, size);
    if (!line) return null;
    cells.set(line, row * model.S);
  }
  return cells;
}

// The step row, or one row of cells, likewise; without a text every step runs its blocks.
function parseSteps(text, model, size = model.legends.steps.length) {
  if (text && text.length !== model.S) return null;
  return Uint8Array.from({length: model.S}, (_, s) => {
    const action = text ? DIGITS.indexOf(text[s]) : COMPUTE;
    return action >= 0 && action < size ? action : COMPUTE;
  });
}

const formatSteps = steps => Array.from(steps, a => DIGITS[a]).join("");

function formatRows(cells, model) {
  return Array.from({length: model.rows}, (_, row) =>
    formatSteps(cells.subarray(row * model.S, (row + 1) * model.S)));
}

// Sorted cell numbers to [start, length, start, length, ...].
function runsOf(sorted) {
  const runs = [];
  for (let n = 0; n < sorted.length; n++) {
    if (n && sorted[n] === sorted[n - 1] + 1) runs[runs.length - 1]++;
    else runs.push(sorted[n], 1);
  }
  return runs;
}

// Whether a brush may not paint a place: step 0 has nothing before it that could be reused.
function lockedFor(target, i, to, model) {
  if (target === "locks") return i % model.S === 0;
  if (to === COMPUTE || i % model.S) return false;
  return target === "cells" || !model.legends.steps[to] || !model.legends.steps[to].at_first;
}

// Apply an operation in place: a stroke on cells or on steps, an edit of a selection, or locks.
function applyPaint(planes, op, model) {
  if (op.op === "put" || op.op === "lock") return applyEach(planes, op, model);
  const target = op.op === "steps" ? "steps" : "cells", runs = op[target], to = op.to;
  for (let n = 0; n < runs.length; n += 2)
    for (let i = runs[n]; i < runs[n] + runs[n + 1]; i++)
      if (!lockedFor(target, i, to, model) && !(target === "cells" && planes.locks[i])) planes[target][i] = to;
}

function applyEach(planes, op, model) {
  let place = 0;
  for (let n = 0; n < op.cells.length; n += 2)
    for (let i = op.cells[n]; i < op.cells[n] + op.cells[n + 1]; i++, place++) {
      const step = op.in === "steps" && DIGITS.indexOf(op.to[place]);
      if (step !== false && !lockedFor("steps", i, step, model)) planes.steps[i] = step;
      if (step !== false || i % model.S === 0) continue;
      if (op.op === "lock") planes.locks[i] = op.on ? 1 : 0;
      else if (!planes.locks[i]) planes.cells[i] = DIGITS.indexOf(op.to[place]);
    }
}

const isStroke = op => ["paint", "steps", "put", "lock"].includes(op.op);
// Neither undone nor in the way of an undo.
const isAside = op => ["pin", "peek", "travel"].includes(op.op);

// The operations among pending ones that still stand. An undo takes back the pending one before it
// at once; what an undo of an older one gives, only the server knows.
function standing(pending) {
  const done = [], undone = [];
  for (const op of pending) {
    if (op.op === "undo") { if (done.length) undone.push(done.pop()); }
    else if (op.op === "redo") { if (undone.length) done.push(undone.pop()); }
    else if (isAside(op)) continue;
    else { done.push(op); undone.length = 0; }
  }
  return done;
}

// Where the brushes of one legend stand in another: numbers by number, -1 for those that left.
function numbersIn(from, to) {
  return from.map((brush, k) => {
    if (k === 0) return 0;
    if (brush.key === null || brush.key === undefined) return k < to.length ? k : -1;
    return to.findIndex(other => other.key === brush.key);
  });
}

// The number of the whole-step action that leaves cell i out, or 0.
function coverOf(steps, i, model, legend = model.legends.steps) {
  const k = steps[i % model.S];
  if (!k) return 0;
  const [first, stop] = legend[k].covers, block = Math.floor(i / model.S / model.R);
  return block >= first && block < stop ? k : 0;
}

// Steps since the cell was last computed; 0 if it is computed itself.
function ageAt(planes, i, model) {
  let age = 0;
  for (let s = i % model.S; s > 0; s--, i--, age++)
    if (planes.cells[i] === COMPUTE && !coverOf(planes.steps, i, model)) break;
  return age;
}

// Cells on the straight line between two cells (Bresenham), so that a fast drag leaves no holes.
function lineCells(from, to, visit) {
  let [row, s] = from;
  const down = Math.abs(to[0] - row), right = Math.abs(to[1] - s);
  const rowStep = row < to[0] ? 1 : -1, sStep = s < to[1] ? 1 : -1;
  let error = right - down;
  for (;;) {
    visit(row, s);
    if (row === to[0] && s === to[1]) return;
    const twice = 2 * error;
    if (twice > -down) { error -= down; s += sStep; }
    if (twice < right) { error += right; row += rowStep; }
  }
}
