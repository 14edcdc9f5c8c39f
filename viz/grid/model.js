// The painted grid as plain numbers: shape, legend, rows of digits, strokes and their replay.
// Nothing in this file touches the page. Cells are counted row by row: i = row * S + s.
const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz";
const COMPUTE = 0;

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

// Shape, names and tables of a spec, ready for use. Lists are copied out of Gradio's proxies.
function makeModel(raw) {
  const spec = JSON.parse(JSON.stringify(raw || {}));
  const S = spec.steps || 0, L = spec.blocks || 0;
  const branches = spec.branches || ["attn", "mlp"], R = branches.length;
  const legend = [{name: "compute", kind: "compute", label: "Compute", colour: null}]
    .concat(spec.legend || []);
  return {
    S, L, R, rows: L * R, cells: L * R * S, branches, legend,
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
    fixedMs: raw.fixed_ms, computeMs: raw.compute_ms, reuseMs: raw.reuse_ms,
    fixedMacs: raw.fixed_macs, computeMacs: raw.compute_macs,
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

// Rows of digits to one array, or null if they are not of this model's shape.
function parseRows(rows, model) {
  if (!rows || rows.length !== model.rows) return null;
  const cells = new Uint8Array(model.cells);
  for (let row = 0; row < model.rows; row++) {
    const text = rows[row];
    if (text.length !== model.S) return null;
    for (let s = 0; s < model.S; s++) {
      const action = DIGITS.indexOf(text[s]);
      cells[row * model.S + s] = action >= 0 && action < model.legend.length ? action : COMPUTE;
    }
  }
  return cells;
}

function formatRows(cells, model) {
  const rows = [];
  for (let row = 0; row < model.rows; row++) {
    let text = "";
    for (let s = 0; s < model.S; s++) text += DIGITS[cells[row * model.S + s]];
    rows.push(text);
  }
  return rows;
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

// Apply a stroke in place. Step 0 always computes: there is nothing to reuse before it.
function applyPaint(cells, op, model) {
  for (let n = 0; n < op.cells.length; n += 2)
    for (let i = op.cells[n]; i < op.cells[n] + op.cells[n + 1]; i++)
      if (op.to === COMPUTE || i % model.S) cells[i] = op.to;
}

// The strokes among pending operations that still stand. An undo takes back the pending stroke
// before it at once; what an undo of an older stroke gives, only the server knows.
function standing(pending) {
  const done = [], undone = [];
  for (const op of pending) {
    if (op.op === "paint") { done.push(op); undone.length = 0; }
    else if (op.op === "undo" && done.length) undone.push(done.pop());
    else if (op.op === "redo" && undone.length) done.push(undone.pop());
  }
  return done;
}

// Steps since the cell was last computed; 0 if it is computed itself.
function ageAt(cells, i, model) {
  let age = 0;
  for (let s = i % model.S; s > 0 && cells[i] !== COMPUTE; s--, i--) age++;
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
